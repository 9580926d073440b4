// Curator's LeaderLatch for a command, which is started and stopped when the latch says so: isLeader, notLeader.
//
// Curator's documentation has that listener, and two policies for errors of the connection: with the standard one a latch
// has lost leadership when the connection is SUSPENDED or LOST, with that of the session only when it is LOST.
//
// java Latch session|standard HOSTS TIMEOUT_MS GRACE_MS PATH ID COMMAND [ARG]...
import java.util.Arrays;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderLatchListener;
import org.apache.curator.framework.state.SessionConnectionStateErrorPolicy;
import org.apache.curator.framework.state.StandardConnectionStateErrorPolicy;
import org.apache.curator.retry.ExponentialBackoffRetry;

public class Latch {
    static Process running;

    static synchronized void start(String[] command) throws Exception {
        running = new ProcessBuilder(command).inheritIO().start();
    }

    static synchronized void stop(long grace) throws Exception {
        if (running == null)
            return;
        running.destroy();
        if (!running.waitFor(grace, TimeUnit.MILLISECONDS))
            running.destroyForcibly().waitFor();
    }

    public static void main(String[] args) throws Exception {
        int timeout = Integer.parseInt(args[2]);
        long grace = Long.parseLong(args[3]);
        String[] command = Arrays.copyOfRange(args, 6, args.length);
        CuratorFramework client = CuratorFrameworkFactory.builder()
            .connectString(args[1]).sessionTimeoutMs(timeout).connectionTimeoutMs(timeout)
            .retryPolicy(new ExponentialBackoffRetry(100, 29))
            .connectionStateErrorPolicy(args[0].equals("session")
                ? new SessionConnectionStateErrorPolicy() : new StandardConnectionStateErrorPolicy())
            .build();
        client.start();
        LeaderLatch latch = new LeaderLatch(client, args[4], args[5]);
        latch.addListener(new LeaderLatchListener() {
            public void isLeader() {
                try {
                    start(command);
                    new Thread(() -> {
                        try {
                            running.waitFor();
                        } catch (InterruptedException ignored) {
                        }
                        System.exit(0);  // by the hook below: the latch is closed, and the next one leads
                    }).start();
                } catch (Exception error) {
                    System.exit(1);
                }
            }

            public void notLeader() {
                try {
                    stop(grace);
                } catch (Exception error) {
                    System.exit(1);
                }
            }
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                stop(grace);
                latch.close();
                client.close();
            } catch (Exception ignored) {
            }
        }));
        latch.start();
        Thread.currentThread().join();
    }
}
