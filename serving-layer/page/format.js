// How numbers, moments and lengths of time are written.

const numbers = new Intl.NumberFormat("en", { maximumFractionDigits: 3 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const zoneHere = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

/** Whether a value is a number; integers that a double cannot hold are BigInt. */
export const isNumber = (value) => typeof value === "number" || typeof value === "bigint";

/** A number with separators; what is absent is a dash, for which screen readers get a word. */
export const number = (value) => (isNumber(value) ? numbers.format(value) : "–");
export const shortNumber = (value) => short.format(value);

/** Any value of an answer. */
export function valueText(value) {
  if (value === null || value === undefined) return "–";
  if (isNumber(value)) return number(value);
  if (Array.isArray(value)) return value.length ? value.map(rankedText).join(", ") : "none";
  if (typeof value === "object") return JSON.stringify(value, (_, of) => (typeof of === "bigint" ? String(of) : of));
  return String(value);
}

const rankedText = (of) =>
  of && typeof of === "object" && "value" in of ? `${of.value ?? "(none)"} × ${number(of.count)}` : valueText(of);

/** Milliseconds, as a person says them. */
export function lengthText(ms) {
  if (ms === null || ms === undefined) return "unknown";
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

export const bytesText = (bytes) => {
  if (!isNumber(bytes)) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let [value, at] = [Number(bytes), 0];
  while (value >= 1024 && at < units.length - 1) [value, at] = [value / 1024, at + 1];
  return `${at === 0 ? value : value.toFixed(1)} ${units[at]}`;
};

const formats = new Map();

/** A format that is made once for each zone. */
function format(zone, options) {
  const key = `${zone} ${JSON.stringify(options)}`;
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", ...options }));
  return formats.get(key);
}

const asDate = (instant) => (instant instanceof Date ? instant : new Date(instant));
const day = { year: "numeric", month: "2-digit", day: "2-digit" };
const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit" };

const isDate = (date) => !Number.isNaN(date.getTime());
const dayText = (date, zone) => {
  const parts = Object.fromEntries(format(zone, day).formatToParts(date).map(({ type, value }) => [type, value]));
  return `${parts.year}-${parts.month}-${parts.day}`;
};

/** `2026-04-24 09:30:12` by the clocks of a zone. */
export function momentText(instant, zone) {
  if (!instant) return "–";
  const date = asDate(instant);
  return isDate(date) ? `${dayText(date, zone)} ${format(zone, clock).format(date)}` : String(instant);
}

/** The clock alone. */
export const clockText = (instant, zone) => (instant ? format(zone, clock).format(asDate(instant)) : "–");

/** The start of a step, as short as its length allows. */
export function stepText(instant, stepMs, zone) {
  const date = asDate(instant);
  if (stepMs >= 86_400_000) return dayText(date, zone);
  const text = format(zone, stepMs >= 60_000 ? { hour: "2-digit", minute: "2-digit" } : clock).format(date);
  return `${dayText(date, zone)} ${text}`;
}

/** How long ago a moment was. */
export const agoText = (instant, nowMs) => (instant ? `${lengthText(Math.max(0, nowMs - asDate(instant).getTime()))} ago` : "never");

/** A group key as a person reads it. */
export const keyText = (key) => {
  const parts = Object.entries(key ?? {});
  return parts.length ? parts.map(([name, value]) => `${name} ${value === null ? "(none)" : value}`).join(", ") : "all keys";
};

/** `1m` and the like in milliseconds. */
export function durationMs(text) {
  const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, mo: 30 * 86_400_000 };
  const found = /^(\d+)(ms|s|mo|m|h|d)$/.exec(text ?? "");
  return found ? Number(found[1]) * units[found[2]] : null;
}

/** The same as the API writes it. */
export function durationText(ms) {
  for (const [unit, of] of [["d", 86_400_000], ["h", 3_600_000], ["m", 60_000], ["s", 1000]]) if (ms % of === 0) return `${ms / of}${unit}`;
  return `${ms}ms`;
}
