import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.state.WindowStore;

/**
 * Counts views by video and minute with Kafka Streams, for `make bench-peers`: from one topic into another, exactly once, with its state in
 * RocksDB and in changelog topics. Prints "running" once it runs, and runs until it is killed.
 */
public final class StreamsCounts {
    private static final Duration MINUTE = Duration.ofMinutes(1);
    private static final ObjectReader VIEWS = new ObjectMapper()
            .configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false)
            .readerFor(View.class);

    /** What of an event is counted. */
    public record View(long occurred_at, String video_id, int status, long dwell_ms) {}

    /** The counters of a video and a minute. */
    public record Totals(long views, long dwellMs) {
        Totals with(View view) {
            return new Totals(views + 1, dwellMs + view.dwell_ms());
        }
    }

    private StreamsCounts() {}

    public static void main(String[] arguments) {
        if (arguments.length != 7) {
            throw new IllegalArgumentException("BROKERS FROM INTO GROUP FOLDER COMMIT_MS CACHE_BYTES");
        }
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[3]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[4]);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, arguments[5]);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, arguments[6]);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        KafkaStreams streams = new KafkaStreams(topology(arguments[1], arguments[2]), settings);
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING) {
                System.out.println("running");
                System.out.flush();
            }
            if (now == KafkaStreams.State.ERROR) {
                // A failure is to be seen, not to be measured.
                Runtime.getRuntime().halt(1);
            }
        });
        streams.start();
    }

    private static Topology topology(String from, String into) {
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(from, Consumed.with(Serdes.String(), views())
                        .withTimestampExtractor((view, partitionTime) -> ((View) view.value()).occurred_at()))
                .filter((video, view) -> view.status() == 200)
                .groupByKey(Grouped.with(Serdes.String(), views()))
                .windowedBy(TimeWindows.ofSizeAndGrace(MINUTE, MINUTE))
                .aggregate(
                        () -> new Totals(0, 0),
                        (video, view, totals) -> totals.with(view),
                        Materialized.<String, Totals, WindowStore<Bytes, byte[]>>as("counts")
                                .withKeySerde(Serdes.String())
                                .withValueSerde(totals()))
                .toStream()
                .map((window, totals) -> KeyValue.pair(window.key(), output(window, totals)))
                .to(into, Produced.with(Serdes.String(), Serdes.String()));
        return builder.build();
    }

    private static String output(Windowed<String> window, Totals totals) {
        return "{\"video_id\":\"" + window.key() + "\",\"minute\":" + window.window().start() / MINUTE.toMillis()
                + ",\"views\":" + totals.views() + ",\"dwell_ms\":" + totals.dwellMs() + "}";
    }

    /** Events as they are read; they are never written, because their keys stay what they are. */
    private static Serde<View> views() {
        return Serdes.serdeFrom(
                (topic, view) -> {
                    throw new UnsupportedOperationException("events are not written again");
                },
                (topic, bytes) -> {
                    try {
                        return VIEWS.readValue(bytes);
                    } catch (IOException error) {
                        throw new UncheckedIOException(new String(bytes, StandardCharsets.UTF_8), error);
                    }
                });
    }

    private static Serde<Totals> totals() {
        return Serdes.serdeFrom(
                (topic, totals) -> totals == null
                        ? null
                        : ByteBuffer.allocate(16).putLong(totals.views()).putLong(totals.dwellMs()).array(),
                (topic, bytes) -> {
                    if (bytes == null) {
                        return null;
                    }
                    ByteBuffer read = ByteBuffer.wrap(bytes);
                    return new Totals(read.getLong(), read.getLong());
                });
    }
}
