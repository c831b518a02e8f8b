// SPDX-License-Identifier: GPL-2.0-or-later
// Draws the status: boot, progress, services, machine.

// ---- the boot, a row a node

const STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 43200, 86400];
const nodeRows = new Map();

function endOf(node) {
	return node.ended_s !== null && node.ended_s >= node.started_s ? node.ended_s : now();
}

function axis() {
	const boot = status.boot;
	let end = boot.ended_s ?? now(), moving = boot.ended_s === null;
	for (const node of status.stages || [])
		if (node.first_started_s !== null) {
			end = Math.max(end, endOf(node));
			moving ||= node.state === "running" || node.state === "retrying";
		}
	end = Math.max(end, 0.01);
	// From the machine's start, or if PID 1 started too late for that to be readable, from about its start.
	const late = boot.started_s !== null && boot.started_s < end && boot.started_s > 2 * (end - boot.started_s) ? boot.started_s : 0;
	const step = STEPS.find(s => (end - late) / s <= 6) ?? Math.ceil((end - late) / 6 / 86400) * 86400;
	// While something runs, the axis ends at a whole step, so that the scale changes rarely.
	return {from: Math.floor(late / step) * step, end: moving ? Math.ceil(end / step) * step : end, step};
}

function drawAxis({from, end, step}) {
	const [unit, word] = step < 60 ? [1, "seconds"] : step < 3600 ? [60, "minutes"] : [3600, "hours"];
	const key = from + " " + end + " " + step;
	put($("axis-unit"), word + " since the start");
	$("nodes").style.setProperty("--step", 100 * step / (end - from) + "%");
	if ($("ticks").dataset.key === key)
		return;
	$("ticks").dataset.key = key;
	$("ticks").replaceChildren(...Array.from({length: Math.floor((end - from) / step + 0.001) + 1}, (_, i) => {
		const tick = make("span", from + i * step >= end * 0.999 ? "end" : "", String(+((from + i * step) / unit).toFixed(2)));
		tick.style.left = 100 * i * step / (end - from) + "%";
		return tick;
	}));
}

function nodeRow(node) {
	const key = node.kind + " " + node.name;
	let row = nodeRows.get(key);
	if (!row) {
		const li = make("li", "node");
		row = {li, track: make("div", "track"), early: make("div", "early"), bar: make("div"), life: make("div", "life"),
			took: make("span", "took"), swatch: make("i"), word: make("span"), tries: make("small"), why: make("p", "why")};
		const state = make("span", "word");
		state.append(row.swatch, row.word, row.tries);
		row.track.ariaHidden = row.swatch.ariaHidden = "true";
		row.track.append(row.early, row.bar, row.life);
		li.dataset.kind = node.kind;
		const name = make("span", "name", node.name);
		name.title = node.name;
		li.append(name, row.track, row.took, state, row.why);
		nodeRows.set(key, row);
	}
	row.node = node;
	return row;
}

// Done, total and rate, from the fields of an event or of the status.
function soFar(p) {
	const done = Number(p.done) || 0, total = Number(p.total) || 0;
	return total > 0 ? size(done) + " of " + size(total) : size(done);
}

function howFast(p) {
	const rate = Number(p.per_second) || 0, words = [];
	if (rate > 0)
		words.push(size(rate) + "/s");
	if (p.eta_s !== undefined && p.eta_s !== null)
		words.push(whole(Number(p.eta_s)) + " left");
	return words;
}

function place(element, visible, began, until, {from, end}) {
	show(element, visible);
	if (!visible)
		return;
	const percent = s => Math.min(Math.max((s - from) / (end - from), 0), 1) * 100;
	const left = percent(began), right = percent(until);
	element.style.left = Math.min(left, 99.2) + "%";
	element.style.width = right - left + "%";
}

function drawBar(row, scale) {
	const node = row.node, began = node.first_started_s !== null, until = began ? endOf(node) : 0;
	place(row.early, began && node.attempts > 1 && node.started_s > node.first_started_s, node.first_started_s, node.started_s, scale);
	place(row.bar, began, node.started_s, until, scale);
	place(row.life, began && node.state === "ready" && until < scale.end, until, Math.min(now(), scale.end), scale);
	put(row.took, began ? duration(until - (node.kind === "service" ? node.started_s : node.first_started_s)) : "–");
}

function drawNodes() {
	const rows = all(status).map(nodeRow);
	for (const row of rows) {
		const node = row.node;
		const tries = node.attempts > 1 ? node.attempts + (node.kind === "service" ? " starts" : " attempts") : "";
		mark(row.li, "node is-" + node.state);
		mark(row.bar, "bar " + node.state);
		mark(row.swatch, "swatch " + node.state);
		put(row.word, node.state);
		put(row.tries, tries);
		const why = node.kind === "service" && !TROUBLE.includes(node.state) ? "" : node.reason || "";
		put(row.why, why);
		row.why.title = why;
	}
	const list = $("nodes"), items = rows.map(row => row.li);
	if (items.length !== list.children.length || items.some((li, i) => li !== list.children[i]))
		list.replaceChildren(...items);
}

// ---- progress of running stages, from the latest event

const going = new Map();        // source -> fields of its latest progress, from the status or from an event
const goingRows = new Map();

function drawProgress() {
	const nodes = all(status).filter(n => ["running", "retrying"].includes(n.state) && (going.has(n.name) || n.progress));
	const items = nodes.map(node => {
		const p = going.get(node.name) || node.progress;
		let row = goingRows.get(node.name);
		if (!row) {
			row = {div: make("div", "going"), percent: make("strong"), bar: make("progress"), line: make("p", "quiet")};
			row.bar.setAttribute("aria-label", node.name);
			row.div.append(make("strong", "", node.name), row.percent, row.bar, row.line);
			goingRows.set(node.name, row);
		}
		const done = Number(p.done) || 0, total = Number(p.total) || 0;
		if (total > 0) {
			row.bar.max = total;
			row.bar.value = Math.min(done, total);
		} else {
			row.bar.removeAttribute("value");
		}
		put(row.percent, total > 0 ? (100 * Math.min(done, total) / total).toFixed(1) + " %" : "");
		put(row.line, [soFar(p), ...howFast(p)].join(", "));
		return row.div;
	});
	const list = $("progress-list");
	if (items.length !== list.children.length || items.some((div, i) => div !== list.children[i]))
		list.replaceChildren(...items);
	show($("progress"), items.length > 0);
}

// ---- services

const serviceRows = new Map();
const lastLines = new Map();    // source -> its last messages

function drawServices() {
	const items = (status.services || []).map(node => {
		let row = serviceRows.get(node.name);
		if (!row) {
			row = {li: make("li", "service"), swatch: make("i"), word: make("span"), facts: make("p", "facts-line"),
				why: make("p", "why"), lines: make("div", "lines")};
			const top = make("div", "top"), state = make("span", "word");
			row.swatch.ariaHidden = "true";
			state.append(row.swatch, row.word);
			top.append(make("h3", "", node.name), state);
			row.li.append(top, row.facts, row.why, row.lines);
			serviceRows.set(node.name, row);
		}
		row.node = node;
		mark(row.li, "service is-" + node.state);
		mark(row.swatch, "swatch " + node.state);
		put(row.word, node.state);
		put(row.why, TROUBLE.includes(node.state) ? node.reason || "" : "");
		drawLines(row);
		return row.li;
	});
	const list = $("service-list");
	if (items.length !== list.children.length || items.some((li, i) => li !== list.children[i]))
		list.replaceChildren(...items);
	show($("services"), items.length > 0);
}

// Output that goes to a log is not in events: for a service with a log, the lines are in the status.
function drawLines(row) {
	const printed = (row.node.last_lines || []).slice(-LINES);
	const lines = printed.length ? printed : lastLines.get(row.node.name) || ["no output yet"];
	while (row.lines.children.length < lines.length)
		row.lines.append(make("p"));
	lines.forEach((line, i) => {
		put(row.lines.children[i], line);
		row.lines.children[i].title = line;
	});
}

function drawUptime(row) {
	const node = row.node, words = [], restarts = Math.max(0, node.attempts - 1);
	if (node.state === "ready")
		words.push("up " + whole(now() - endOf(node)));
	else if (node.state === "running")
		words.push("starting for " + whole(now() - node.started_s));
	else if (node.state === "retrying" && node.next_start_s !== null)
		words.push("restarts in " + whole(node.next_start_s - now()));
	words.push(node.attempts === 0 ? "not started yet" : restarts === 0 ? "no restart" : restarts === 1 ? "1 restart" : restarts + " restarts");
	if (node.pid !== null)
		words.push("pid " + node.pid);
	if (typeof node.resources?.memory_bytes === "number")
		words.push(size(node.resources.memory_bytes));
	if (typeof node.resources?.cpu_s === "number")
		words.push(duration(node.resources.cpu_s) + " CPU");
	put(row.facts, words.join(", "));
}

// ---- the machine: the rest of the status

const GROUPS = {disk: "Disk", clock: "Clock", measurements: "Measurements", api: "System API", versions: "Versions"};
const MEMBERS = {disk: "disk", clock: "clock", measure: "measurements"};
let certificate = null;         // from an event, if the status does not have it

function flatten(value, name, into) {
	if (into.length >= 60 || value === null || value === undefined || value === "")
		return into;
	if (Array.isArray(value) && value.every(v => typeof v !== "object"))
		into.push([name, value.join(", ")]);
	else if (typeof value === "object")
		for (const [key, inner] of Object.entries(value))
			flatten(inner, name ? name + " " + key : key, into);
	else
		into.push([name, value]);
	return into;
}

function fact(name, value) {
	const number = typeof value === "number";
	if (number && /bytes$/.test(name))
		return [name.replace(/[_ ]?bytes$/, "") || "size", size(value)];
	if (number && /_end_s$/.test(name))     // since 1970
		return [name.slice(0, -2), new Date(1000 * value).toISOString().slice(0, 16).replace("T", " ") + " UTC"];
	if (number && /_s$/.test(name))
		return [name.slice(0, -2), Math.abs(value) < 1 ? (1000 * value).toFixed(1) + " ms" : duration(value)];
	return [name, typeof value === "boolean" ? (value ? "yes" : "no") : String(value)];
}

function ownFacts(boot) {
	const {events, dropped, children, memory_bytes, loop} = boot;
	return {events, dropped_messages: dropped, children, memory_bytes, longest_turn_s: loop?.longest_s};
}

function documentFacts(refresh) {
	return refresh && {sha256: refresh.sha256, latest_refresh: refresh.result, reason: refresh.reason, refreshes: refresh.runs};
}

function drawFacts() {
	const groups = [];
	for (const [key, title] of Object.entries(GROUPS)) {
		const facts = flatten(status[key], "", []);
		if (key === "api" && certificate && !facts.some(([name]) => /sha256/.test(name)))
			facts.push(["certificate sha256", certificate]);
		groups.push([title, facts]);
	}
	const there = new Set();
	for (const node of all(status)) {
		const group = MEMBERS[node.type];
		if (group && status[group] && !there.has(group))
			there.add(group);       // the first of its type is the group
		else
			groups.push([node.name, flatten(node.facts, "", [])]);
	}
	groups.push(["Configuration", flatten(documentFacts(status.refresh), "", [])]);
	groups.push(["PID 1", flatten(ownFacts(status.boot), "", [])]);
	const shown = groups.filter(([, facts]) => facts.length > 0), key = JSON.stringify(shown);
	show($("facts"), shown.length > 0);
	if ($("fact-list").dataset.key === key)
		return;
	$("fact-list").dataset.key = key;
	$("fact-list").replaceChildren(...shown.map(([title, facts]) => {
		const div = make("div"), dl = make("dl");
		for (const [rawName, rawValue] of facts) {
			const [name, value] = fact(rawName, rawValue);
			dl.append(make("dt", "", name.replaceAll("_", " ")), make("dd", /^[0-9a-f]{16,}$/i.test(value) ? "code" : "", value));
		}
		div.append(make("h3", "", title), dl);
		return div;
	}));
}
