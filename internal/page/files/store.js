// The storage of this tab, which a browser may refuse: then the page works without it.

// keptAs is what was kept under a name; empty: nothing.
export function keptAs(name) {
  try {
    return sessionStorage.getItem(name) ?? "";
  } catch {
    return "";
  }
}

// keep keeps a text until the tab is closed; an empty one is forgotten.
export function keep(name, text) {
  try {
    if (text) sessionStorage.setItem(name, text);
    else sessionStorage.removeItem(name);
  } catch {
    // It is lost when the page is loaded again.
  }
}
