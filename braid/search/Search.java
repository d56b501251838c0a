import java.util.List;
import java.util.Map;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.Plugin;
import org.opensearch.transport.Netty4Plugin;

/**
 * One OpenSearch node on loopback, without its distribution: Search PORT FOLDER [SETTING=VALUE]…
 *
 * It prints `ready` once it listens, and stops in good order on SIGTERM.
 */
public class Search extends Node {
    Search(Environment environment) {
        super(environment, List.<Class<? extends Plugin>>of(Netty4Plugin.class), false);
    }

    public static void main(String[] args) throws Exception {
        Settings.Builder settings = Settings.builder()
            .put("path.home", args[1])
            .put("cluster.name", "braid")
            .put("discovery.type", "single-node")
            .put("network.host", "127.0.0.1")
            .put("http.type", "netty4")
            .put("http.port", args[0])
            .put("transport.type", "netty4")
            .put("transport.port", "0")
            // A developer's disk is often nearly full, and this is no reason to refuse a few documents.
            .put("cluster.routing.allocation.disk.threshold_enabled", false);
        for (int at = 2; at < args.length; at++) {
            String[] setting = args[at].split("=", 2);
            settings.put(setting[0], setting[1]);
        }
        try {
            Node node = new Search(InternalSettingsPreparer.prepareEnvironment(settings.build(), Map.of(), null, () -> "node"));
            Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node)));
            node.start();
        } catch (Throwable why) {
            why.printStackTrace();
            // Threads that were started would keep the process alive.
            Runtime.getRuntime().halt(1);
        }
        System.out.println("ready");
        Thread.currentThread().join();
    }

    private static void close(Node node) {
        try {
            node.close();
        } catch (Exception why) {
            why.printStackTrace();
        }
    }
}
