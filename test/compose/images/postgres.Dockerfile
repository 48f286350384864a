# A Postgres server that takes the settings that the official image takes.
FROM flows-compose-base
COPY postgres-start /usr/local/bin/
ENV PATH=/usr/lib/postgresql/15/bin:$PATH PGDATA=/var/lib/postgresql/data
RUN mkdir -p "$PGDATA" && chown postgres:postgres "$PGDATA"
USER postgres
STOPSIGNAL SIGINT
CMD ["postgres-start"]
