/** What is at the edges of a chart: where its candles begin, and the way back to now. Loaded when one is in sight. */

import * as format from "./format.js";
import { intervalSeconds } from "./smarttrade-client.js";

/** Show the newest candle. */
export const toNow = ({ scale }) => scale.scrollToPosition(scale.options().rightOffset, false);

export function drawEdges({ element, chart, held, interval }) {
  const [edge, button] = [element.querySelector(".edge"), element.querySelector(".to-now")];
  button.onclick = () => toNow(chart);
  button.hidden = held.length === 0 || chart.isAtNewest;
  edge.hidden = held.length === 0 || !chart.isAtOldest;
  if (edge.hidden) return;
  const [{ time }, length] = [held[0], intervalSeconds(interval)];
  const begin = `${format.openTime(time, length)} ${format.zone(time, length)}`;
  edge.textContent = `Candles begin at ${begin}: older ones are not kept here.`;
}
