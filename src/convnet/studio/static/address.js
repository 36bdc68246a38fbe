// The state of the page in its address.

// The address of the view that is shown.
export const shown = { hash: "" };

// The view and the parameters in the address: #/inspect?network=digits-1&layer=conv1.
export function state() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { view: path || "train", parameters: new URLSearchParams(query ?? "") };
}

export function address(view, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const query = new URLSearchParams(given).toString();
  return `#/${view}${query ? `?${query}` : ""}`;
}

export const go = (view, parameters) => (location.hash = address(view, parameters));

// Store a part of the state in the address without opening the view again.
export function remember(changes) {
  const { view, parameters } = state();
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined || value === null || value === "") parameters.delete(name);
    else parameters.set(name, value);
  }
  shown.hash = address(view, Object.fromEntries(parameters));
  history.replaceState(null, "", shown.hash);
}
