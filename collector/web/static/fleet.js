// The fleet as it is told now: what is shown is fetched anew as long as somebody looks.
const EVERY_MS = 15_000;

async function look() {
  const now = document.getElementById("now");
  // Nothing is taken away from under a hand or a reader: what has the focus stays as it is.
  if (document.hidden || now.contains(document.activeElement)) return;
  let text;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.redirected) return location.reload();  // logged out meanwhile
    if (!answer.ok) return;
    text = await answer.text();
  } catch { return; }
  const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("now");
  const before = now.querySelector(".scroll").scrollLeft;
  if (fresh === null || fresh.innerHTML === now.innerHTML) return;
  now.replaceWith(fresh);
  fresh.querySelector(".scroll").scrollLeft = before;
}

setInterval(look, EVERY_MS);
document.addEventListener("visibilitychange", look);
