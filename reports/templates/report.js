// SPDX-License-Identifier: BSD-3-Clause
// Searching the table, and the evidence behind its cells. What a target said is only ever put in as text.
"use strict";

const report = JSON.parse(document.getElementById("data").textContent);
const requirements = new Map(report.requirements.map((row) => [row.id, row]));
const searchable = new Map(report.requirements.map((row) => [row.id, [row.id, row.statement, row.citation,
	...new Set(row.cells.flatMap((cell) => cell ? cell.cases : []))].join(" ").toLowerCase()]));
const letters = { pass: "P", warn: "W", fail: "F", skip: "S", inconclusive: "I", error: "E", note: "N", none: "·" };
const worst = ["fail", "error", "inconclusive", "warn", "skip", "pass", "note", "none"];
const needsLook = ["fail", "teardown-fail", "warn", "teardown-warn", "inconclusive", "teardown-inconclusive", "error"];

function element(name, className, ...children) {
	const node = document.createElement(name);
	if (className)
		node.className = className;
	node.append(...children.filter((child) => child !== null && child !== undefined));
	return node;
}

// ---- the table ----

const controls = ["search", "has", "level"].map((id) => document.getElementById(id));

function filter() {
	const [search, has, level] = controls.map((control) => control.value);
	const words = search.toLowerCase().split(/\s+/).filter(Boolean);
	const wanted = has === "!" ? needsLook : has.split(" ").filter(Boolean);
	let shown = 0;

	for (const body of document.querySelectorAll("tbody")) {
		let alive = 0;
		for (const row of body.querySelectorAll("tr.req")) {
			const verdicts = row.dataset.has.split(" ");
			const fits = words.every((word) => searchable.get(row.querySelector("th").id).includes(word)) &&
				(!wanted.length || wanted.some((verdict) => verdicts.includes(verdict))) &&
				(!level || row.dataset.level === level);
			row.hidden = !fits;
			alive += fits;
		}
		body.hidden = !alive;
		shown += alive;
	}
	document.getElementById("shown").textContent = shown + " of " + requirements.size + " requirements";
}

// ---- the evidence ----

function letter(verdict, part) {
	return element("span", part + " v-" + verdict, letters[verdict] || "?");
}

function pairs(rows) {
	const list = element("dl");
	for (const [name, value] of rows)
		if (value !== undefined && value !== null && value !== "")
			list.append(element("dt", "", name), element("dd", "", value));
	return list;
}

function clause(id) {
	const row = requirements.get(id);
	if (!id)
		return "";
	return id + (row && row.level !== "?" ? " (" + row.level + ") " : " ") + (row ? row.citation : "");
}

function lane(event, shows) {
	if (event.event === "observation")
		return element("div", "lane observation", event.requirement + " violated: expected " +
			(event.expected || "-") + "; seen " + event.seen);
	if (event.event === "judged")
		return element("div", "lane judged", "✓ " + event.requirement + ": " + event.seen);
	if (event.event === "step" || event.event === "log")
		return element("div", "lane " + event.event, event.text);
	if (event.kind === "open")
		return element("div", "lane open", "connection " + event.conn + ": " + event.text);
	if (event.kind === "end")
		return element("div", "lane end", "connection " + event.conn + " ended by the " +
			(event.dir === "h2c" ? "host" : "target") + ": " + event.text);
	if (event.kind === "note")
		return element("div", "lane open", "no longer judged: " + event.text);
	const text = String(event.text);
	const cut = (text + " ").indexOf(" ");
	const said = element("div", "said",
		element("span", "no", event.n + " · c" + event.conn + (event.t_ms ? " · " + Number(event.t_ms).toFixed(1) + " ms" : "") +
			(event.dir === "h2c" ? " →" : " ←")),
		element("span", "pdu", element("b", "", text.slice(0, cut)), text.slice(cut)));
	return element("div", "lane " + (event.dir === "h2c" ? "h2c" : "c2h") + (shows ? " shows" : ""), said, element("div", "arrow"));
}

function ladder(result) {
	// From the first packet of the step that was judged to the last of the case.
	const [first, last] = [(result.packets || [])[0], (result.packets || []).at(-1)];
	const judged = (event) => result.behaviour !== "pass" && first > 0 && event.n >= first && event.n <= last;
	const box = element("div", "ladder", element("div", "ends", element("span", "", "host (tester)"), element("span", "", "target")));
	if (result.left_out)
		box.append(element("div", "lane open", result.left_out + (result.events.length ? " events of the middle" : " events, as the page has too many already,") +
			" are left out; events.jsonl has them all"));
	for (const event of result.events)
		box.append(lane(event, event.event === "packet" && judged(event)));
	return box;
}

function caseBox(id, result, open) {
	const box = element("details", "case");
	box.open = open;
	box.append(element("summary", "", letter(result.behaviour, "b"), letter(result.teardown, "t"), " ",
		element("code", "", id), " ", report.titles[id] || ""));
	const fill = () => {
		if (box.dataset.filled)
			return;
		box.dataset.filled = "1";
		box.append(pairs([
			["behaviour", result.behaviour], ["requirement", clause(result.requirement)],
			["expected", result.expected], ["seen", result.seen], ["reason", result.reason],
			["teardown", result.teardown],
			["… requirement", result.teardown === "pass" ? "" : clause(result.teardown_requirement)],
			["… expected", result.teardown_expected], ["… seen", result.teardown_seen],
			["… reason", result.teardown_reason],
			["packets", (result.packets || []).join(" to ")], ["capture", result.capture],
			["repeated", result.answers_lost ? result.answers_lost + " times, as the target's answer was lost to its own reset" : ""],
			["changed", (result.changed || "").replaceAll("-", " ")],
			["again", result.again ? element("code", "again", result.again) : ""],
		]));
		if (result.kernel)
			box.append(element("h3", "", "The kernel's log meanwhile"), element("pre", "", result.kernel.join("\n")));
		if (result.source)
			box.append(element("h3", "", "The shortest case that shows it"), element("pre", "", result.source.join("\n")));
		if (result.events)
			box.append(element("h3", "", "The conversation"), ladder(result));
	};
	box.addEventListener("toggle", fill);
	if (open)
		fill();
	return box;
}

function observedBox(observed) {
	const first = observed.first || {};
	return element("div", "case", letter(observed.verdict, "b"), " ", element("code", "", observed.id),
		pairs([["expected", first.expected], ["seen", first.seen],
			["times", observed.count + ", first in packet " + first.packet + " of " + first.case],
			["cases", (observed.cases || []).join(", ")]]));
}

const dialog = document.getElementById("detail");

function show(id, number) {
	const row = requirements.get(id);
	const run = report.runs[number - 1];
	const cell = row && row.cells[number - 1];
	if (!row || !run || !cell)
		return;
	const results = report.results[number - 1];
	const close = element("button", "", "Close");
	const title = element("h2", "", letter(cell.behaviour, "b"), letter(cell.teardown, "t"), " " + id + " ", element("small", "", run.label));
	const body = element("div", "body", element("p", "", row.statement),
		pairs([["level", row.level], ["clause", row.citation], ["expected", row.expected], ["then", row.ends],
			["changed", (cell.changed || "").replaceAll("-", " ")]]));

	if (/\b(F1|F2|Term)\(/.test(row.expected))
		body.append(element("p", "cite", "F1(n) is AUTH_Failure1 with RCODEEX n, F2(n) AUTH_Failure2, Term(n) a TermReq with FES n."));
	if (cell.withheld)
		body.append(element("p", "loud", "Report to the implementer first: what was sent and seen is not told here (SECURITY.md)."));
	title.id = "detail-title";
	close.type = "button";
	close.addEventListener("click", () => dialog.close());
	if (cell.observed && cell.observed.first && cell.observed.first.case)
		body.append(element("h3", "", "The observer"), observedBox(cell.observed));
	const rank = (name) => Math.min(worst.indexOf(results[name].behaviour), worst.indexOf(results[name].teardown));
	const cases = [...cell.cases].sort((one, other) => rank(one) - rank(other));
	if (cases.length)
		body.append(element("h3", "", cases.length === 1 ? "One case" : cases.length + " cases"));
	for (const [index, name] of cases.entries())
		body.append(caseBox(name, results[name], index === 0));
	if (cell.observed && cell.observed.first && !cell.cases.includes(cell.observed.first.case) && results[cell.observed.first.case])
		body.append(element("h3", "", "Where the observer saw it first"),
			caseBox(cell.observed.first.case, results[cell.observed.first.case], !cases.length));
	dialog.replaceChildren(element("div", "top", title, close), body);
	if (!dialog.open)
		dialog.showModal();
	dialog.scrollTop = 0;
}

function follow() {
	const [id, number] = decodeURIComponent(location.hash.slice(1)).split("/");
	if (number)
		show(id, Number(number));
	else if (dialog.open)
		dialog.close();
}

dialog.addEventListener("close", () => history.replaceState(null, "", location.pathname + location.search));
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
window.addEventListener("hashchange", follow);
for (const control of controls)
	control.addEventListener("input", filter);
filter();
follow();
