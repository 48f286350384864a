# The shop alone: what the Dockerfile in the root makes, of a program that is built already.
FROM scratch
COPY app /app
USER 65532:65532
ENTRYPOINT ["/app"]
