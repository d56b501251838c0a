// Work that follows from what comes in, however fast that is.

/**
 * Makes a function that runs `task` soon after it was called: at most once at a time, at most every `everyMs`, and with as much rest in between as it
 * took. Whatever is asked for meanwhile is one more run.
 */
export function paced(everyMs, task) {
  let [isBusy, isDue] = [false, false];
  return async function run() {
    isDue = true;
    if (isBusy) return;
    isBusy = true;
    while (isDue) {
      isDue = false;
      const begun = performance.now();
      await task();
      await new Promise((resolve) => setTimeout(resolve, Math.max(everyMs, performance.now() - begun)));
    }
    isBusy = false;
  };
}
