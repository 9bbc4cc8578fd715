import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.networknt.schema.OutputFormat;
import com.networknt.schema.Schema;
import com.networknt.schema.SchemaRegistry;
import com.networknt.schema.dialect.Dialects;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * Kafka Streams, exactly_once_v2: the DSL where it has the operation (judging, `repartition`), and
 * two processors that share their stores for the join, since none of its joins lets a record wait.
 *
 * A job that waits is a row of its own, found by its push as the key's prefix.
 *
 * Tuned: bytes are passed on as they came, not as trees to be written and read again; the stores
 * have record caches, so that pushes are mostly not looked up in RocksDB. All else is the default,
 * the commit interval of 100 ms, one thread and four partitions among it.
 */
public final class Joins {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Map<String, String> RESULTS = Map.of(
            "success", "success", "exception", "exception", "canceled", "usercancel",
            "retry", "retry", "superseded", "superseded");
    private static final Serde<String> TEXT = Serdes.String();
    private static final Serde<byte[]> BYTES = Serdes.ByteArray();
    private static final String PUSHES = "known-pushes";
    private static final String WAITING = "waiting-jobs";
    private static final AtomicLong JOINING = new AtomicLong();
    private static final AtomicBoolean READY = new AtomicBoolean();

    /** A job's bytes, and its push's key: null if it is not valid. */
    private record Judged(byte[] raw, String push) {}

    private static final class Judge {
        private final Schema schema;

        Judge(Path path) throws IOException {
            schema = SchemaRegistry.withDialect(Dialects.getDraft6())
                    .getSchema(JSON.readTree(path.toFile()));
            schema.initializeValidators();
        }

        Judged judge(byte[] raw) {
            ready();
            try {
                JsonNode job = JSON.readTree(raw);
                if (schema.validate(job, OutputFormat.BOOLEAN)) {
                    JsonNode origin = job.get("origin");
                    String project = origin.get("project").textValue();
                    return new Judged(raw, project + ":" + origin.get("revision").textValue());
                }
            } catch (IOException notJson) {
                // It is not valid either.
            }
            return new Judged(raw, null);
        }
    }

    private abstract static class Joining implements Processor<String, byte[], String, byte[]> {
        ProcessorContext<String, byte[]> context;
        KeyValueStore<String, byte[]> pushes;
        KeyValueStore<String, byte[]> waiting;

        @Override
        public void init(ProcessorContext<String, byte[]> given) {
            context = given;
            pushes = given.getStateStore(PUSHES);
            waiting = given.getStateStore(WAITING);
        }

        void join(JsonNode job, byte[] raw, byte[] push, long timestamp) {
            ByteArrayOutputStream out = new ByteArrayOutputStream(raw.length + push.length + 64);
            out.writeBytes(ascii("{\"job\":"));
            out.writeBytes(raw);
            out.writeBytes(ascii(",\"push\":"));
            out.writeBytes(push);
            out.writeBytes(ascii(",\"result\":\"" + result(job) + "\"}"));
            String id = job.get("taskId").textValue();
            context.forward(new Record<>(id, out.toByteArray(), timestamp));
        }
    }

    private static final class JoinJob extends Joining {
        @Override
        public void process(Record<String, byte[]> record) {
            JsonNode job = read(record.value());
            byte[] push = pushes.get(record.key());
            if (push == null) {
                String id = job.get("taskId").textValue();
                waiting.put(record.key() + "\n" + id, record.value());
            } else {
                join(job, record.value(), push, record.timestamp());
            }
            JOINING.incrementAndGet();
        }
    }

    private static final class JoinPush extends Joining {
        @Override
        public void process(Record<String, byte[]> record) {
            pushes.put(record.key(), record.value());
            String prefix = record.key() + "\n";
            try (KeyValueIterator<String, byte[]> rows =
                    waiting.prefixScan(prefix, new StringSerializer())) {
                while (rows.hasNext()) {
                    KeyValue<String, byte[]> row = rows.next();
                    join(read(row.value), row.value, record.value(), record.timestamp());
                    waiting.delete(row.key);
                }
            }
        }
    }

    private Joins() {}

    /** Tell it once: tasks without state begin before all is RUNNING. */
    private static void ready() {
        if (!READY.get() && READY.compareAndSet(false, true)) {
            System.out.println("ready");
        }
    }

    private static JsonNode read(byte[] raw) {
        try {
            return JSON.readTree(raw);
        } catch (IOException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    private static byte[] ascii(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }

    private static String result(JsonNode job) {
        if (!job.get("state").textValue().equals("completed")) {
            return "unknown";
        }
        if (job.path("isRetried").booleanValue()) {
            return "retry";
        }
        String own = job.path("result").asText("unknown");
        if (own.equals("fail")) {
            return job.get("jobKind").textValue().equals("test") ? "testfailed" : "busted";
        }
        return RESULTS.getOrDefault(own, "unknown");
    }

    private static StoreBuilder<KeyValueStore<String, byte[]>> store(String name) {
        return Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(name), TEXT, BYTES)
                .withCachingEnabled();
    }

    private static Topology topology(Judge judge) {
        StreamsBuilder builder = new StreamsBuilder();
        builder.addStateStore(store(PUSHES)).addStateStore(store(WAITING));
        KStream<byte[], Judged> judged =
                builder.stream("jobs.inbox", Consumed.with(BYTES, BYTES)).mapValues(judge::judge);
        judged.filter((key, one) -> one.push == null)
                .mapValues(one -> one.raw)
                .to("jobs.dead-letter", Produced.with(BYTES, BYTES));
        judged.filter((key, one) -> one.push != null)
                .map((key, one) -> KeyValue.pair(one.push, one.raw))
                .repartition(Repartitioned.with(TEXT, BYTES).withName("valid"))
                .process(JoinJob::new, PUSHES, WAITING)
                .to("jobs.joined", Produced.with(TEXT, BYTES));
        builder.stream("pushes.inbox", Consumed.with(TEXT, BYTES))
                .process(JoinPush::new, PUSHES, WAITING)
                .to("jobs.joined", Produced.with(TEXT, BYTES));
        return builder.build();
    }

    public static void main(String[] arguments) throws IOException {
        Map<String, String> env = System.getenv();
        Properties config = new Properties();
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, env.get("APP"));
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, env.get("SERVERS"));
        config.put(StreamsConfig.STATE_DIR_CONFIG, env.get("STATE"));
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        Judge judge = new Judge(Path.of(env.get("SCHEMA")));
        KafkaStreams streams = new KafkaStreams(topology(judge), config);
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING) {
                ready();
            }
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close();
            Runtime.getRuntime().halt(0);
        }));
        streams.start();
        long[] told = {0};
        Executors.newSingleThreadScheduledExecutor().scheduleWithFixedDelay(() -> {
            long jobs = JOINING.get();
            if (jobs != told[0]) {
                told[0] = jobs;
                System.out.println("joining " + jobs);
            }
        }, 20, 20, TimeUnit.MILLISECONDS);
    }
}
