// What a stream writes shows as it is written. Streams need a Kafka that knows transactions.

import { transaction } from "../events.mjs";
import { Platform } from "../platform.mjs";
import { until } from "../waits.mjs";

export async function stream({ browser, folder, catalog, figures, stops }) {
  let platform;
  try {
    platform = await Platform.start(folder, catalog, { kafka: "child" });
  } catch (error) {
    figures["not tested"] = "streams as they arrive: Kafka cannot be run here";
    console.log(`      stream: ${error.message}`);
    return;
  }
  stops.push(() => platform.stop());
  await until("the stream is written", async () => (await platform.ask("/v1/streams")).streams.find(({ name }) => name === "fraud_alerts").written);
  const page = await browser.open(platform, "/?metric=views&range=1h");
  await page.tab.locator("#watch-fraud_alerts").click();
  await page.says("#stream-outputs", "fraud_alerts, as it arrives");
  await page.says("#stream-outputs", "It has written nothing yet");
  // The sixth payment within a minute is one too many.
  await platform.send("transactions", Array.from({ length: 7 }, (_, at) => transaction("user-9", 10 + at)));
  await page.says("#stream-outputs", "high_velocity");
  await page.says("#stream-outputs", "user-9");
  const { outputs } = await platform.ask("/v1/streams/fraud_alerts");
  await until("every output is shown", async () => (await page.rows("#stream-outputs")).length === outputs.length);
  await page.isAccessible("a stream");
  await page.picture("stream");
  await page.tab.locator("#watch-fraud_alerts").click();
  await until("it is watched no more", async () => (await page.tab.locator("#stream-outputs").innerText()) === "");
  await page.close();
}
