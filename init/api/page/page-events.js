// SPDX-License-Identifier: GPL-2.0-or-later
// Events: the log, and the stream.

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
		fields.push(howFast(e.fields || {}).join(", "));      // the text has the bytes
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
	put($("newest"), unseen > 0 ? "Jump to the newest, " + unseen + " more" : "Jump to the newest");
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
		" overwritten before these")});
}

// ---- the stream

let stream = null, retryTimer = 0;

function streamPath() {
	return "/api/v1/events/stream?since=" + lastSeq;
}

// An EventSource does not expose the status code of a refusal.
async function askWhy() {
	const enough = new AbortController();
	try {
		const answer = await fetch(streamPath(), {credentials: "same-origin", cache: "no-store", signal: enough.signal});
		if (!answer.ok)
			refused(await refusalOf(answer));
	} catch {
		// no answer: already shown as a lost connection
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
		refreshSoon();          // shows the reason if it is refused
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
