import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * The work of the benchmark as a Kafka Streams program: count, map or join, with either guarantee. It prints how long
 * the messages took, from the first that it processed to the last, in nanoseconds. The system properties linger and commit
 * are linger.ms and commit.interval.ms; the second may be left out.
 *
 * Arguments: work brokers application guarantee stateDir messages output input [input]
 */
public class Streams {
    static final AtomicLong handled = new AtomicLong();
    static final AtomicLong first = new AtomicLong();
    static final CountDownLatch done = new CountDownLatch(1);
    static volatile long last;
    static long messages;

    public static void main(String[] args) throws Exception {
        messages = Long.parseLong(args[5]);
        Properties config = new Properties();
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[1]);
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, args[2]);
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, args[3]);
        config.put(StreamsConfig.STATE_DIR_CONFIG, args[4]);
        config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        // Every update is wanted, so that nothing may be held back to be merged.
        config.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
        config.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        config.put(StreamsConfig.consumerPrefix("max.poll.records"), 10000);
        config.put(StreamsConfig.producerPrefix("batch.size"), 262144);
        config.put(StreamsConfig.producerPrefix("linger.ms"), Integer.getInteger("linger"));
        if (Long.getLong("commit") != null) {
            config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, Long.getLong("commit"));
        }
        KafkaStreams streams = new KafkaStreams(topology(args).build(), config);
        streams.start();
        done.await();
        System.out.println("took " + (last - first.get()));
        streams.close(Duration.ofSeconds(20));
    }

    static StreamsBuilder topology(String[] args) {
        StreamsBuilder builder = new StreamsBuilder();
        Consumed<byte[], byte[]> bytes = Consumed.with(Serdes.ByteArray(), Serdes.ByteArray());
        switch (args[0]) {
            case "map" -> builder.stream(args[7], bytes).mapValues(v -> v).peek((k, v) -> handled())
                .to(args[6], Produced.with(Serdes.ByteArray(), Serdes.ByteArray()));
            case "count" -> builder.stream(args[7], Consumed.with(Serdes.String(), Serdes.String()))
                .groupByKey(Grouped.with(Serdes.String(), Serdes.String()))
                .count(Materialized.with(Serdes.String(), Serdes.Long()))
                .toStream().mapValues(n -> Long.toString(n)).peek((k, v) -> handled())
                .to(args[6], Produced.with(Serdes.String(), Serdes.String()));
            case "join" -> join(builder, args);
            default -> throw new IllegalArgumentException(args[0]);
        }
        return builder;
    }

    /** A table-table join; what it counts is the messages of both inputs. */
    static void join(StreamsBuilder builder, String[] args) {
        KTable<String, String> left = table(builder, args[7]);
        KTable<String, String> right = table(builder, args[8]);
        left.join(right, (l, r) -> l + r).toStream().to(args[6], Produced.with(Serdes.String(), Serdes.String()));
    }

    static KTable<String, String> table(StreamsBuilder builder, String topic) {
        KStream<String, String> in = builder.stream(topic, Consumed.with(Serdes.String(), Serdes.String()));
        Materialized<String, String, KeyValueStore<Bytes, byte[]>> store = Materialized.with(Serdes.String(), Serdes.String());
        return in.peek((k, v) -> handled()).toTable(store);
    }

    static void handled() {
        long n = handled.incrementAndGet();
        if (n == 1) {
            first.set(System.nanoTime());
        }
        if (n == messages) {
            last = System.nanoTime();
            done.countDown();
        }
    }
}
