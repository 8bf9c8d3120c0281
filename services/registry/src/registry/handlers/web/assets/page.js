// The list is rendered by the server; each event only says "look again".
const live = document.getElementById("live");
const list = document.getElementById("list");
// News gather so long before the list is asked for; then it rests so long, however much comes.
const GATHER_MS = 150;
const REST_MS = 0;
let pending = false;

async function refresh() {
  if (pending) return;
  pending = true;
  await new Promise((resolve) => setTimeout(resolve, GATHER_MS));
  pending = false;
  const answer = await fetch(`/list${location.search}`, { credentials: "same-origin" });
  if (answer.ok) list.innerHTML = await answer.text();
}

const source = new EventSource("/v1/events?since=now");
source.onopen = () => { live.textContent = "live"; refresh(); };
source.onerror = () => { live.textContent = "reconnecting…"; };
const kinds = ["certificate.requested", "certificate.waiting_for_approval", "certificate.approved", "certificate.denied",
  "certificate.issued", "certificate.delivered", "certificate.live", "certificate.failing", "certificate.renewal_due",
  "endpoints.expected", "alert.raised", "alert.resolved"];
for (const kind of kinds) source.addEventListener(`certbus.${kind}.v1`, refresh);
setInterval(refresh, 10000);
