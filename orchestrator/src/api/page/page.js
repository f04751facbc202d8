const answer = await fetch("/api/v1/lab");
if (answer.ok) {
  const lab = await answer.json();
  const devices = Object.entries(lab.devices).map(([status, count]) => `${count} ${status}`).join(", ");
  document.querySelector("#lab").append(` ${lab.name}: ${devices || "no devices"}.`);
}
