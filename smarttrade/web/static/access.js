/**
 * The token of a server that requires one. It comes in the page's address, after `#access_token=`,
 * which browsers do not send; it is kept for as long as the tab is open.
 */

const KEY = "access_token";

const given = new URLSearchParams(location.hash.slice(1)).get(KEY);
if (given) {
  sessionStorage.setItem(KEY, given);
  history.replaceState(history.state, "", location.pathname + location.search);
}

export const TOKEN_REQUIRED = "This server requires a token: add #access_token=YOUR-TOKEN to this page's address.";

const token = sessionStorage.getItem(KEY);

export const headers = token ? { Authorization: `Bearer ${token}` } : {};

/** A WebSocket's handshake has no headers of ours. */
export function socketWithToken(address) {
  if (token) address.searchParams.set(KEY, token);
  return address;
}
