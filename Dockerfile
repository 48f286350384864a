# An image of one example, or of your own program after the same pattern: one static binary, no shell, not root.
#
#   docker build --tag flows-shop .
#   docker run --rm -p 8080:8080 -e HTTP_ADDR=:8080 flows-shop           # everything in one process
#   docker run --rm -e KAFKA_BROKERS=... -e POSTGRES_URL=... flows-shop run stock
#   docker build --build-arg EXAMPLE=wordcount --tag flows-wordcount .
ARG GO_IMAGE=golang:1.26

FROM ${GO_IMAGE} AS build
WORKDIR /source
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG EXAMPLE=shop
# The embedded broker and database keep their files in /tmp.
RUN mkdir -p /image/etc/ssl/certs && mkdir -m 1777 /image/tmp && \
    cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ && \
    CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags='-s -w' -o /image/app ./example/${EXAMPLE}

FROM scratch
COPY --from=build /image /
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/app", "health"]
ENTRYPOINT ["/app"]
CMD ["run"]
