// SPDX-License-Identifier: GPL-2.0-or-later
// The page, live: the status is asked for, the events are followed, and each event that tells of a change has the status
// asked for again. Everything shown is the words of strangers: it becomes text, never markup.
"use strict";

const KEEP = 2000;              // events kept here, as many as the machine keeps
const SLACK = 200;              // they are dropped in pieces of this size
const LINES = 3;                // a service's last words
const RUNS = 10;                // actions whose answers stay
const STATUS_EVERY_MS = 10000;
const STATUS_SOON_MS = 150;     // events come in bursts
const RETRY_MS = 3000;
const TIMEOUT_MS = 15000;
const UPLOAD_MS = 600000;
const REBOOT_S = 5;             // the machine's clock this far behind is that of another boot
const LEVELS = ["debug", "info", "notice", "warning", "error"];
const TROUBLE = ["failed", "blocked", "retrying"];

const $ = id => document.getElementById(id);

function make(tag, className, text) {
	const element = document.createElement(tag);
	if (className)
		element.className = className;
	if (text !== undefined)
		element.textContent = text;
	return element;
}

// Only what differs is touched: a selection stays, and nothing is said twice.
function put(element, text) {
	if (element.textContent !== text)
		element.textContent = text;
}

function show(element, visible) {
	if (element.hidden === visible)
		element.hidden = !visible;
}

function mark(element, className) {
	if (element.className !== className)
		element.className = className;
}

// ---- words

function duration(s) {
	s = Math.max(0, s);
	if (s < 60)
		return s.toFixed(s < 10 ? 2 : 1) + " s";
	s = Math.floor(s);
	if (s < 3600)
		return Math.floor(s / 60) + " min " + s % 60 + " s";
	if (s < 86400)
		return Math.floor(s / 3600) + " h " + Math.floor(s / 60) % 60 + " min";
	return Math.floor(s / 86400) + " d " + Math.floor(s / 3600) % 24 + " h";
}

function whole(s) {     // for what counts on every second
	return s < 60 ? Math.floor(Math.max(0, s)) + " s" : duration(s);
}

function size(bytes) {
	const units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"];
	let i = 0;
	while (bytes >= 1024 && i < units.length - 1) {
		bytes /= 1024;
		i++;
	}
	return (i ? bytes.toFixed(1) : String(bytes)) + " " + units[i];
}

// ---- asking

class Refusal extends Error {}

async function ask(path, options) {
	let answer;
	try {
		answer = await fetch(path, {credentials: "same-origin", cache: "no-store", signal: AbortSignal.timeout(options?.body ? UPLOAD_MS : TIMEOUT_MS),
			...options});
	} catch {
		throw new Error("no answer");
	}
	if (!answer.ok)
		throw await refusalOf(answer);
	return json(await answer.text());
}

function json(text) {
	try {
		return JSON.parse(text);
	} catch {
		return null;    // not every answer is JSON
	}
}

async function refusalOf(answer) {
	const body = json(await answer.text());
	const refusal = new Refusal(
		answer.status === 401 ? "Not allowed: the machine asks for a password. Reload the page to enter it." :
		answer.status === 403 ? "Not allowed." :
		body && typeof body.message === "string" ? body.message : "answer " + answer.status);
	refusal.status = answer.status;
	return refusal;
}

// ---- the clock, the connection, what is said aloud

let base = null;                // the machine's clock at a moment of ours

function now() {
	return base ? base.now_s + (performance.now() - base.at) / 1000 : 0;
}

const links = {connecting: "connecting", live: "live", lost: "connection lost, retrying", stopped: "not allowed"};
let link = "connecting", lostAt = 0;

function setLink(state) {
	if (state === "lost" && link !== "lost") {
		lostAt = performance.now();
		say(links.lost);
	} else if (state === "live" && link === "lost") {
		say("connected again");
	}
	link = state;
	$("link").dataset.link = state;
	put($("link-word"), links[state]);
	show($("link"), true);
	if (state === "live" && !stopped)
		trouble("");
}

function trouble(text) {
	put($("trouble"), text);
	show($("trouble"), text !== "");
}

let saying = [], sayTimer = 0;

function say(text) {
	saying.push(text);
	sayTimer ||= setTimeout(() => {
		$("said").textContent = saying.slice(-6).join("; ");
		saying = [];
		sayTimer = 0;
	}, 500);
}

// ---- the status

let status = null, asking = false, again = false, stopped = false, soonTimer = 0, everyTimer = 0;

function refreshSoon() {
	if (stopped)
		return;
	soonTimer ||= setTimeout(() => {
		soonTimer = 0;
		refresh();
	}, STATUS_SOON_MS);
}

async function refresh() {
	if (asking) {
		again = true;
		return;
	}
	asking = true;
	clearTimeout(everyTimer);
	const seen = lastSeq;
	try {
		const answer = await ask("/api/v1/status");
		if (answer && answer.boot) {
			if (answer.boot.events < seen || answer.boot.now_s < now() - REBOOT_S)
				forget();       // another boot, whose events count from one
			takeStatus(answer);
		}
	} catch (error) {
		if (error instanceof Refusal)
			refused(error);
		else
			setLink("lost");
	}
	asking = false;
	if (stopped)
		return;
	everyTimer = setTimeout(refresh, STATUS_EVERY_MS);
	if (again) {
		again = false;
		refreshSoon();
	}
}

// Who has no password is not asked for it again and again.
function refused(refusal) {
	trouble(refusal.message);
	if (refusal.status !== 401)
		return;
	stopped = true;
	stream.close();
	clearTimeout(retryTimer);
	setLink("stopped");
}

function takeStatus(answer) {
	const before = status;
	status = answer;
	base = {now_s: answer.boot.now_s, at: performance.now()};
	if (link === "live")
		trouble("");
	show($("main"), true);
	drawHeader();
	drawNodes();
	drawServices();
	drawFacts();
	drawProgress();
	tick();
	if (before)
		sayChanges(before, answer);
}

function all(s) {
	return [...(s.stages || []).map(n => ({...n, kind: "stage"})), ...(s.services || []).map(n => ({...n, kind: "service"}))];
}

function sayChanges(before, after) {
	if (before.boot.state !== after.boot.state)
		say("The boot is " + after.boot.state + (after.boot.reason ? ": " + after.boot.reason : ""));
	const states = new Map(all(before).map(n => [n.kind + n.name, n.state]));
	for (const node of all(after))
		if (states.get(node.kind + node.name) !== node.state)
			say(node.name + " " + node.state);
}

function drawHeader() {
	const boot = status.boot;
	put($("hostname"), boot.hostname || "Gantry");
	put($("state-word"), boot.state);
	mark($("state").firstElementChild, "swatch " + boot.state);
	show($("state"), true);
	put($("version"), "gantry " + boot.version);
	put($("reason"), boot.reason || "");
	show($("reason"), Boolean(boot.reason));
	document.title = boot.state + " · " + (boot.hostname || "Gantry");
}

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
	// From the machine's start; but if PID 1 began so late that nothing else would be seen, from about there.
	const late = boot.started_s !== null && boot.started_s < end && boot.started_s > 2 * (end - boot.started_s) ? boot.started_s : 0;
	const step = STEPS.find(s => (end - late) / s <= 6) ?? Math.ceil((end - late) / 6 / 86400) * 86400;
	// What moves gets whole steps, so that the scale stands still most of the time.
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

// How far and how fast, from the fields of an event or of the status.
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
		const node = row.node, tries = node.attempts > 1 ? node.attempts + (node.kind === "service" ? " starts" : " tries") : "";
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

// ---- progress: of what runs, by its latest event

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

// What goes to its log is no event: of a service that has one, the status has the lines.
function drawLines(row) {
	const printed = (row.node.last_lines || []).slice(-LINES);
	const lines = printed.length ? printed : lastLines.get(row.node.name) || ["has said nothing yet"];
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
		words.push("starts again in " + whole(node.next_start_s - now()));
	words.push(node.attempts === 0 ? "not started yet" : restarts === 0 ? "no restart" : restarts === 1 ? "1 restart" : restarts + " restarts");
	if (node.pid !== null)
		words.push("pid " + node.pid);
	if (typeof node.resources?.memory_bytes === "number")
		words.push(size(node.resources.memory_bytes));
	if (typeof node.resources?.cpu_s === "number")
		words.push(duration(node.resources.cpu_s) + " CPU");
	put(row.facts, words.join(", "));
}

// ---- the machine: whatever the status knows beyond the boot

const GROUPS = {disk: "Disk", clock: "Clock", measurements: "Measurements", api: "System API", versions: "Versions"};
const MEMBERS = {disk: "disk", clock: "clock", measure: "measurements"};
let certificate = null;         // told by an event, where the status does not have it

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

// ---- the log

let events = [], lastSeq = 0, following = true, unseen = 0, pending = [], frame = 0;
const sources = new Set();

function wanted(e) {
	const text = $("filter-text").value.toLowerCase(), source = $("filter-source").value;
	return e.note || (LEVELS.indexOf(e.level) >= Number($("filter-level").value) && (!source || e.source === source) &&
		(!text || (e.source + " " + e.message).toLowerCase().includes(text)));
}

function logRow(e) {
	if (e.note)
		return make("div", "row note", e.note);
	const row = make("div", "row"), text = make("span", "text"), fields = [];
	row.dataset.level = e.level;
	row.dataset.seq = e.seq;
	if (e.kind === "progress")
		fields.push(howFast(e.fields || {}).join(", "));      // its text says how far
	else
		for (const [key, value] of Object.entries(e.fields || {}))
			if (key !== "text")
				fields.push(key + "=" + value);
	text.append(e.kind === "message" ? e.text : make(e.kind === "state" ? "b" : "span", "", e.text));
	if (e.fields && e.fields.text !== undefined)
		text.append(" " + e.fields.text);
	if (fields.length)
		text.append(" ", make("span", "fields", fields.join(" ")));
	const when = make("span", "when", String(e.received_at).slice(11, 19));
	when.title = e.received_at;
	row.append(when, make("span", "when boot", Number(e.boot_s).toFixed(e.boot_s < 100000 ? 3 : 1)), make("span", "level", e.level),
		make("span", "source", e.source), text);
	row.children[3].title = e.source;
	return row;
}

function pin() {
	if (following)
		$("rows").scrollTop = $("rows").scrollHeight;
}

function count() {
	const shown = $("rows").children.length;
	put($("shown"), shown === events.length ? shown + " events" : shown + " of " + events.length + " events");
	show($("newest"), !following);
	put($("newest"), unseen > 0 ? "Go on at the newest, " + unseen + " more" : "Go on at the newest");
}

function flush() {
	frame = 0;
	const fresh = pending;
	pending = [];
	events.push(...fresh);
	const rows = fresh.slice(-KEEP).filter(wanted).map(logRow);
	$("rows").append(...rows);
	if (!following)
		unseen += rows.length;
	if (events.length > KEEP + SLACK)
		events = events.slice(-KEEP);
	while ($("rows").children.length > KEEP + SLACK / 2 || (events.length && $("rows").firstChild &&
		Number($("rows").firstChild.dataset.seq) < firstSeq()))
		$("rows").firstChild.remove();
	pin();
	count();
}

function firstSeq() {
	const first = events.find(e => !e.note);
	return first ? first.seq : 0;
}

function drawLog() {
	$("rows").replaceChildren(...events.filter(wanted).map(logRow));
	following = true;
	unseen = 0;
	pin();
	count();
}

function enqueue(e) {
	pending.push(e);
	if (pending.length > 2 * KEEP) {        // a page in the background draws nothing
		pending = pending.slice(-KEEP);
		events = [];
		$("rows").replaceChildren();
	}
	frame ||= requestAnimationFrame(flush);
}

function take(e) {
	if (e.seq <= lastSeq)
		return;
	if (e.seq > lastSeq + 1)
		lost(e.seq - lastSeq - 1);
	lastSeq = e.seq;
	enqueue(e);
	if (!sources.has(e.source) && sources.size < 512) {
		sources.add(e.source);
		const after = [...$("filter-source").options].slice(1).find(o => o.value > e.source) || null;
		const option = make("option", "", e.source);
		option.value = e.source;
		$("filter-source").insertBefore(option, after);
	}
	if (e.kind === "progress") {
		going.set(e.source, e.fields || {});
		if (status)
			drawProgress();
	} else if (e.kind === "state") {
		going.delete(e.source);
		refreshSoon();
	} else {
		const lines = lastLines.get(e.source) || [];
		lines.push(e.text);
		lastLines.set(e.source, lines.slice(-LINES));
		if (serviceRows.has(e.source))
			drawLines(serviceRows.get(e.source));
		if (e.fields && e.fields.sha256 && /certificate/.test(e.text) && /^(api|api-tls|system-api)$/.test(e.source)) {
			certificate = String(e.fields.sha256);
			if (status)
				drawFacts();
		}
	}
	follow(e);
}

function lost(n) {
	enqueue({note: n + (n === 1 ? " event was" : " events were") + (lastSeq ? " overwritten before this page got it" :
		" before these, no longer kept")});
}

// ---- the stream

let stream = null, retryTimer = 0;

function streamPath() {
	return "/api/v1/events/stream?since=" + lastSeq;
}

// An EventSource does not tell why it was refused.
async function askWhy() {
	const enough = new AbortController();
	try {
		const answer = await fetch(streamPath(), {credentials: "same-origin", cache: "no-store", signal: enough.signal});
		if (!answer.ok)
			refused(await refusalOf(answer));
	} catch {
		// no answer: that is shown already
	}
	enough.abort();
}

function connect() {
	clearTimeout(retryTimer);
	stream = new EventSource(streamPath());
	for (const kind of ["message", "state", "progress"])
		stream.addEventListener(kind, message => {
			const e = json(message.data);
			if (e && typeof e.seq === "number")
				take(e);
		});
	stream.onopen = () => {
		setLink("live");
		refreshSoon();
	};
	stream.onerror = () => {
		setLink("lost");
		refreshSoon();          // it says why, if it is refused
		if (stream.readyState === EventSource.CLOSED) {
			retryTimer = setTimeout(connect, RETRY_MS);
			askWhy();
		}
	};
}

function forget() {
	stream.close();
	events = [];
	pending = [];
	lastSeq = 0;
	going.clear();
	lastLines.clear();
	status = null;
	drawLog();
	connect();
}

// ---- actions

const runs = [];                // {name, id, li, word, lines}
let actionsKnown = false;

async function loadActions() {
	if (actionsKnown || stopped)
		return;
	try {
		const answer = await ask("/api/v1/actions");
		const actions = answer?.actions || [], uploads = answer?.file_uploads || [];
		actionsKnown = true;
		$("action-list").replaceChildren(...actions.map(a => actionButton(String(a.name))));
		$("upload-list").replaceChildren(...uploads.map(u => uploadRow(String(u.name))));
		show($("actions"), actions.length + uploads.length > 0);
	} catch (error) {
		show($("actions"), false);
		if (error.status !== 404)       // not yet: before the disk is open nobody may act
			setTimeout(loadActions, STATUS_EVERY_MS);
	}
}

function confirmed(title, text, verb) {
	const dialog = $("confirm");
	put($("confirm-title"), title);
	put($("confirm-text"), text);
	put($("confirm-yes"), verb);
	return new Promise(resolve => {
		let yes = false;
		$("confirm-yes").onclick = () => {
			yes = true;
			dialog.close();
		};
		$("confirm-no").onclick = () => dialog.close();
		dialog.onclose = () => resolve(yes);
		dialog.showModal();
		$("confirm-no").focus();
	});
}

function host() {
	return status?.boot.hostname || location.hostname;
}

function actionButton(name) {
	const button = make("button", "", name);
	button.type = "button";
	button.onclick = async () => {
		if (await confirmed("Run " + name + "?", "It acts on " + host() + " at once.", "Run " + name))
			act(name, "/api/v1/actions/" + encodeURIComponent(name) + "?async=1", null);
	};
	return button;
}

function uploadRow(name) {
	const div = make("div", "upload"), label = make("label", "", "File for " + name), input = make("input"), button = make("button", "", "Upload " + name);
	input.type = "file";
	input.id = "file-" + name;
	label.htmlFor = input.id;
	button.type = "button";
	button.disabled = true;
	input.onchange = () => button.disabled = input.files.length === 0;
	button.onclick = async () => {
		const file = input.files[0];
		if (await confirmed("Upload " + name + "?", file.name + ", " + size(file.size) + ", replaces what " + host() + " has.", "Upload " + name))
			act(name, "/api/v1/file-upload/" + encodeURIComponent(name), file);
	};
	div.append(label, input, button);
	return div;
}

async function act(name, path, file) {
	const run = {name, id: null, li: make("li"), word: make("span", "", "sent"), lines: make("div", "lines")};
	const top = make("p");
	top.append(make("strong", "", name), " ", run.word);
	run.li.append(top, run.lines);
	runs.unshift(run);
	$("runs").prepend(run.li);
	for (const old of runs.splice(RUNS))
		old.li.remove();
	try {
		const answer = await ask(path, {method: "POST", body: file, headers: file ? {"Content-Type": "application/octet-stream"} : {}});
		if (answer?.id !== undefined) {
			run.id = String(answer.id);
			put(run.word, "accepted, number " + run.id);
			[...events, ...pending].forEach(e => followOne(run, e));
		} else {
			conclude(run, true, answer?.message || "done");
		}
	} catch (error) {
		conclude(run, false, error.message);
	}
}

function conclude(run, ok, words) {
	mark(run.word, ok ? "ok" : "bad");
	put(run.word, words);
}

function followOne(run, e) {
	if (!e.fields || run.id === null || String(e.fields.id) !== run.id || e.fields.action !== run.name)
		return;
	run.lines.append(make("p", "", e.text));
	while (run.lines.children.length > 20)
		run.lines.firstChild.remove();
	if (/^executing action success/.test(e.text))
		conclude(run, true, "done");
	else if (/^error executing/.test(e.text))
		conclude(run, false, "failed");
}

function follow(e) {
	for (const run of runs)
		followOne(run, e);
}

// ---- every second, and the start

function tick() {
	if (link === "lost" && performance.now() - lostAt > 12000 && $("trouble").hidden)
		trouble("No answer from the machine. If it was restarted, its certificate is a new one: reload the page to see it.");
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
