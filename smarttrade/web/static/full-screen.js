/** The whole screen for the page, or no longer. Loaded when it is wanted. */

export function fullScreen(notify) {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen().catch(() => notify("This browser allows no full screen."));
}
