import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import org.apache.flink.api.common.JobID;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.api.TableResult;

/**
 * Counts views by video and minute with Flink SQL, for `make bench-peers`: from one topic into another, exactly once, on a cluster within
 * this process. Prints "running" once every task runs, and runs until it is killed.
 */
public final class FlinkCounts {
    private static final String VIEWS = """
            CREATE TABLE `views` (
                occurred_at BIGINT,
                video_id STRING,
                status INT,
                dwell_ms BIGINT,
                happened_at AS TO_TIMESTAMP_LTZ(occurred_at, 3),
                WATERMARK FOR happened_at AS happened_at - INTERVAL '5' SECOND
            ) WITH (
                'connector' = 'kafka',
                'topic' = '%s',
                'properties.bootstrap.servers' = '%s',
                'properties.group.id' = '%s',
                'scan.startup.mode' = 'earliest-offset',
                'format' = 'json'
            )""";
    /** The transaction's limit is the longest that the broker allows; Flink's own default is longer. */
    private static final String COUNTS = """
            CREATE TABLE counts (
                video_id STRING,
                `minute` INT,
                `views` BIGINT,
                dwell_ms BIGINT
            ) WITH (
                'connector' = 'kafka',
                'topic' = '%s',
                'properties.bootstrap.servers' = '%s',
                'properties.transaction.timeout.ms' = '900000',
                'key.format' = 'raw',
                'key.fields' = 'video_id',
                'value.format' = 'json',
                'sink.delivery-guarantee' = 'exactly-once',
                'sink.transactional-id-prefix' = '%s'
            )""";
    private static final String COUNT = """
            INSERT INTO counts
            SELECT
                video_id,
                TIMESTAMPDIFF(MINUTE, TIMESTAMP '1970-01-01 00:00:00', window_start),
                COUNT(*),
                SUM(dwell_ms)
            FROM TABLE(TUMBLE(TABLE `views`, DESCRIPTOR(happened_at), INTERVAL '1' MINUTE))
            WHERE status = 200
            GROUP BY video_id, window_start, window_end""";

    private FlinkCounts() {}

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 8) {
            throw new IllegalArgumentException("BROKERS FROM INTO GROUP FOLDER CHECKPOINT_MS BACKEND REST_PORT");
        }
        String brokers = arguments[0];
        String group = arguments[3];
        int restPort = Integer.parseInt(arguments[7]);
        Configuration settings = settings(arguments[4], arguments[5], arguments[6], restPort);
        TableEnvironment sql = TableEnvironment.create(
                EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(settings).build());
        sql.executeSql(VIEWS.formatted(arguments[1], brokers, group));
        sql.executeSql(COUNTS.formatted(arguments[2], brokers, group));
        TableResult counting = sql.executeSql(COUNT);
        awaitTasks(restPort, counting.getJobClient().orElseThrow().getJobID());
        System.out.println("running");
        System.out.flush();
        // An error of the job ends this process.
        counting.await();
    }

    private static Configuration settings(String folder, String checkpointMs, String backend, int restPort) {
        Configuration settings = new Configuration();
        settings.setString("parallelism.default", "2");
        settings.setString("table.local-time-zone", "UTC");
        settings.setString("execution.checkpointing.mode", "EXACTLY_ONCE");
        settings.setString("execution.checkpointing.interval", checkpointMs + " ms");
        settings.setString("execution.checkpointing.dir", "file://" + folder + "/checkpoints");
        settings.setString("execution.checkpointing.incremental", "true");
        settings.setString("state.backend.type", backend);
        // What a task manager of its own gets by default, and RocksDB keeps its blocks in.
        settings.setString("taskmanager.memory.managed.size", "512m");
        settings.setString("io.tmp.dirs", folder);
        settings.setString("rest.bind-address", "127.0.0.1");
        settings.setString("rest.bind-port", Integer.toString(restPort));
        // A failure is to be seen, not to be measured.
        settings.setString("restart-strategy.type", "none");
        return settings;
    }

    /** Waits until every task of the job runs. */
    private static void awaitTasks(int restPort, JobID job) throws IOException, InterruptedException {
        HttpClient client = HttpClient.newHttpClient();
        HttpRequest ask = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + restPort + "/jobs/" + job)).build();
        ObjectMapper json = new ObjectMapper();
        while (true) {
            HttpResponse<String> answer = client.send(ask, HttpResponse.BodyHandlers.ofString());
            JsonNode said = json.readTree(answer.body());
            if (answer.statusCode() == 200 && allRun(said.path("vertices"))) {
                return;
            }
            if (said.path("state").asText().equals("FAILED")) {
                throw new IllegalStateException("the job has failed: " + said);
            }
            Thread.sleep(20);
        }
    }

    private static boolean allRun(JsonNode vertices) {
        for (JsonNode vertex : vertices) {
            if (!vertex.path("status").asText().equals("RUNNING")) {
                return false;
            }
        }
        return !vertices.isEmpty();
    }
}
