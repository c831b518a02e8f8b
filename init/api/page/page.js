// SPDX-License-Identifier: GPL-2.0-or-later
// The live page: fetches the status, follows the events, and fetches the status again after an event that reports a change.
// All data is untrusted: it is inserted as text, never as markup. This and the other parts, page-*.js, are one script
// (page.c).
"use strict";

const KEEP = 2000;              // events kept in the browser
const SLACK = 200;              // dropped in pieces of this size
const LINES = 3;                // last lines of a service
const RUNS = 10;                // results of actions that are kept
const STATUS_EVERY_MS = 10000;
const STATUS_SOON_MS = 150;     // events come in bursts
const RETRY_MS = 3000;
const TIMEOUT_MS = 15000;
const UPLOAD_MS = 600000;
const REBOOT_S = 5;             // if the machine's clock is this far behind, it has rebooted
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

// Changes only what differs, so that a selection stays and screen readers do not repeat.
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

function whole(s) {     // for values that change every second
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

// ---- the clock, the connection, announcements

let base = null;                // the machine's clock, and ours at that moment

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
		say("reconnected");
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
				forget();       // another boot: its events are numbered from 1
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

// After a 401 stops, so that the browser does not ask for the password again and again.
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
	const image = status.versions.image;
	put($("version"), "gantry " + boot.version + (image ? ", image " + image.name + " " + image.version : ""));
	put($("reason"), boot.reason || "");
	show($("reason"), Boolean(boot.reason));
	document.title = boot.state + " · " + (boot.hostname || "Gantry");
}
