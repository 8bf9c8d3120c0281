// The list is rendered by the server; each event only says "look again".
const live = document.getElementById("live");
const list = document.getElementById("list");
// News gather so long before the list is asked for.
const GATHER_MS = 150;
// Then it rests: so long at least, and so many times as long as the answer took. However much comes, and however
// busy the registry is, an open page is a small part of its work.
const REST_MS = 1000;
const REST_TIMES = 20;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let news = false;
let looking = false;

async function refresh() {
  news = true;
  if (looking) return;
  looking = true;
  while (news) {
    await pause(GATHER_MS);
    news = false;
    const began = performance.now();
    try {
      const answer = await fetch(`/list${location.search}`, { credentials: "same-origin" });
      if (answer.ok) list.innerHTML = await answer.text();
    } catch {
      // It is asked for again at the next news, or in ten seconds.
    }
    await pause(Math.max(REST_MS, REST_TIMES * (performance.now() - began)));
  }
  looking = false;
}

const source = new EventSource("/v1/events?since=now");
source.onopen = () => { live.textContent = "live"; refresh(); };
source.onerror = () => { live.textContent = "reconnecting…"; };
const kinds = ["certificate.requested", "certificate.waiting_for_approval", "certificate.approved", "certificate.denied",
  "certificate.issued", "certificate.delivered", "certificate.live", "certificate.failing", "certificate.renewal_due",
  "endpoints.expected", "alert.raised", "alert.resolved"];
for (const kind of kinds) source.addEventListener(`certbus.${kind}.v1`, refresh);
setInterval(refresh, 10000);
