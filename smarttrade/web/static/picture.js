/** Saves what a chart shows as a PNG, under a caption. Loaded when one is wanted. */

import * as format from "./format.js";

const CAPTION_HEIGHT = 26; // px
const KEPT_FOR = 60_000; // ms, for the browser to save it

export async function savePicture({ chart, symbol, interval, newest }) {
  if (!chart) return;
  const time = newest ? `${format.openTime(newest.time, 60)} ${format.zone(newest.time)}` : "";
  const picture = await draw(chart.api.takeScreenshot(), [document.title.split(" · ")[0], time].join("  "));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(picture);
  link.download = `${symbol}-${interval}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), KEPT_FOR);
}

function draw(shot, caption) {
  const ratio = devicePixelRatio;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [shot.width, shot.height + CAPTION_HEIGHT * ratio];
  const context = canvas.getContext("2d");
  const style = getComputedStyle(document.body);
  context.fillStyle = style.backgroundColor;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = style.color;
  context.font = `${13 * ratio}px ${style.fontFamily}`;
  context.fillText(caption, 10 * ratio, 18 * ratio);
  context.drawImage(shot, 0, CAPTION_HEIGHT * ratio);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
