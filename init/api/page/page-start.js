// SPDX-License-Identifier: GPL-2.0-or-later
// The update every second, and the start. The last part of the script.

function tick() {
	if (link === "lost" && performance.now() - lostAt > 12000 && $("trouble").hidden)
		trouble("No answer from the machine. If it was restarted, its certificate has changed: reload the page to accept it.");
	if (!status)
		return;
	const boot = status.boot, scale = axis();
	put($("since"), "up " + whole(now()) + (boot.ended_s !== null && ["booted", "held"].includes(boot.state) ? ", " +
		boot.state + " after " + duration(boot.ended_s) : ""));
	drawAxis(scale);
	for (const row of nodeRows.values())
		if (row.li.isConnected)
			drawBar(row, scale);
	for (const row of serviceRows.values())
		drawUptime(row);
}

$("rows").addEventListener("scroll", () => {
	const rows = $("rows");
	following = rows.scrollHeight - rows.scrollTop - rows.clientHeight < 24;
	if (following)
		unseen = 0;
	count();
}, {passive: true});
$("newest").addEventListener("click", () => {
	following = true;
	unseen = 0;
	pin();
	count();
	$("rows").focus();
});
for (const id of ["filter-text", "filter-level", "filter-source"])
	$(id).addEventListener("input", drawLog);
new ResizeObserver(pin).observe($("rows"));
setInterval(tick, 1000);
setLink("connecting");
refresh();
connect();
loadActions();
