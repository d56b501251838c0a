// Events of the shipped catalog.

let count = 0;

/** A view of a video, so many milliseconds ago. */
export function view(video, { agoMs = 0, dwellMs = 1000, status = 200 } = {}) {
  count += 1;
  const at = new Date(Date.now() - agoMs).toISOString();
  return { event_id: `e-${process.pid}-${count}`, occurred_at: at, video_id: video, user_id: `u-${count % 7}`, url: `https://example.org/${video}`, status, dwell_ms: dwellMs };
}

export function order(country, price) {
  count += 1;
  return { order_id: `o-${process.pid}-${count}`, country, price, at: new Date().toISOString() };
}

export function transaction(user, amount) {
  count += 1;
  return { transaction_id: `t-${process.pid}-${count}`, user_id: user, amount, lat: 52.5, lon: 13.4, at: new Date().toISOString(), merchant: "shop-1" };
}
