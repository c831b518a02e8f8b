// SPDX-License-Identifier: GPL-2.0-or-later
// The configured actions and file uploads.

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
		if (error.status !== 404)       // before the disk is open: try again
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
		if (await confirmed("Run " + name + "?", "The action starts on " + host() + " immediately.", "Run " + name))
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
		if (await confirmed("Upload " + name + "?", file.name + ", " + size(file.size) + ", replaces the present file on " + host() + ".", "Upload " + name))
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
