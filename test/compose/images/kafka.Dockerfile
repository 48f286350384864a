# A Kafka broker that takes the settings that the official image takes. The jars are the project's own, see images.sh.
FROM flows-compose-base
COPY libs /opt/kafka/libs
COPY kafka-broker-api-versions.sh kafka-start /opt/kafka/bin/
RUN mkdir -p /var/lib/kafka/data && chown 1000:1000 /var/lib/kafka/data
USER 1000:1000
CMD ["/opt/kafka/bin/kafka-start"]
