# An image of one example, or of your own program after the same pattern: one static binary, no shell, not root.
#
#   docker build --build-arg EXAMPLE=wordcount --tag wordcount .
#   docker run --rm -p 8080:8080 -e HTTP_ADDR=:8080 wordcount            # everything in one process
#   docker run --rm -e KAFKA_BROKERS=... -e POSTGRES_URL=... wordcount run count
ARG GO_VERSION=1.26

FROM golang:${GO_VERSION} AS build
WORKDIR /source
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG EXAMPLE=wordcount
# The embedded broker and database keep their files in /tmp.
RUN mkdir -p /image/etc/ssl/certs && mkdir -m 1777 /image/tmp && \
    cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ && \
    CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags='-s -w' -o /image/app ./example/${EXAMPLE} && \
    CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags='-s -w' -o /image/probe ./internal/probe

FROM scratch
COPY --from=build /image /
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/probe"]
ENTRYPOINT ["/app"]
CMD ["run"]
