/* SPDX-License-Identifier: BSD-3-Clause */
/* The discovery controller and its log (docs/protocol.md 2.9). */
#include <string.h>

#include "suites/pdu_steps.h"

enum {
	TSC_MASK = 3,
	TSC_REQUIRED = 1,
	TSC_NOT_REQUIRED = 2,
	TSC_RESERVED = 3,
	TASC_SHIFT = 4,
	TASC_RESERVED = 3,
	SECTYPE_NONE = 0,
	SECTYPE_TLS13 = 2,
	SUBTYPE_NVM = 2,
	TRTYPE_TCP = 3,
	MAX_ENTRIES = 64,
};

/* An admin queue of the discovery controller, enabled and authenticated when asked; skips where the target refuses it here. */
static struct nvc_queue *discovery_controller(struct test *t, struct nvc_host *host)
{
	const struct nvc_queue_options options = {0};
	struct nvc_queue *queue = initialised_queue(t, host, NULL);
	struct nvc_completion done = {0};
	struct nvc_error err = {0};

	if (!test_running(t))
		return queue;
	host->subnqn = NVC_DISCOVERY_NQN; /* R1 covers it */
	if (nvc_queue_connect(queue, &options, &done, &err) != NVC_OK)
		test_inconclusive(t, "Connect to the discovery controller: %s", err.text);
	else if (done.status != NVC_SC_SUCCESS)
		test_skip(t,
			"the address serves no discovery controller to this host: status %03Xh %s",
			done.status, nvc_status_name(done.status));
	return queue;
}

static struct nvc_queue *discovery_ready(struct test *t, struct nvc_host *host)
{
	struct nvc_queue *queue = discovery_controller(t, host);

	if (test_running(t) && nvc_queue_info(queue)->atr)
		authenticate(t, transaction(t, queue, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
	enable(t, queue);
	return queue;
}

/* Reads `len` bytes of the log; false when the case has its verdict. */
static bool read_log(struct test *t, struct nvc_queue *queue, uint64_t offset, size_t len,
	struct nvc_completion *done)
{
	struct nvc_error err = {0};

	if (!test_running(t))
		return false;
	test_step(t, "Get Log Page 70h, %zu bytes from %llu", len, (unsigned long long)offset);
	if (nvc_do_get_log_page(queue, NVC_LOG_DISCOVERY, offset, len, done, &err) != NVC_OK)
		test_inconclusive(t, "%s", err.text);
	else if (done->status != NVC_SC_SUCCESS || done->data.len != len)
		test_inconclusive(t, "Get Log Page 70h: status %03Xh, %zu bytes", done->status,
			done->data.len);
	return test_running(t);
}

static uint64_t num_entries(struct test *t, struct nvc_queue *queue)
{
	struct nvc_discovery_header header = {0};
	struct nvc_completion done = {0};

	if (read_log(t, queue, 0, NVC_DISCOVERY_HEADER_LEN, &done) &&
		nvc_decode(&nvc_discovery_header_layout, done.data, &header, NULL, NULL) != NVC_OK)
		test_error(t, "the header of the log cannot be decoded");
	return header.numrec;
}

/* Reads one entry; false when the case has its verdict. */
static bool read_entry(
	struct test *t, struct nvc_queue *queue, uint64_t index, struct nvc_discovery_entry *entry)
{
	struct nvc_completion done = {0};

	if (!read_log(t, queue, NVC_DISCOVERY_HEADER_LEN + index * NVC_DISCOVERY_ENTRY_LEN,
		    NVC_DISCOVERY_ENTRY_LEN, &done))
		return false;
	if (nvc_decode(&nvc_discovery_entry_layout, done.data, entry, NULL, NULL) != NVC_OK)
		test_error(t, "an entry of the log cannot be decoded");
	return test_running(t);
}

/* Whether the entry is about `port` (text, padded with blanks or zeros) and about the subsystem under test over TCP. */
static bool is_about(const struct nvc_discovery_entry *entry, const char *subnqn, const char *port)
{
	char nqn[NVC_NQN_MAX_LEN + 1];
	size_t i = 0;

	if (!port || entry->trtype != TRTYPE_TCP || entry->subtype != SUBTYPE_NVM ||
		!nvc_nqn_get(entry->subnqn, nqn))
		return false;
	for (; port[i]; i++)
		if (i >= sizeof(entry->trsvcid) || entry->trsvcid[i] != (uint8_t)port[i])
			return false;
	if (i < sizeof(entry->trsvcid) && entry->trsvcid[i] != ' ' && entry->trsvcid[i] != 0)
		return false;
	return strcmp(nqn, subnqn) == 0;
}

/* The entry of the subsystem under test on the port of a kind; skips when the log has none. */
static struct nvc_discovery_entry entry_of(
	struct test *t, struct nvc_host *host, enum nvc_port_kind kind, const char *port_name)
{
	const char *subnqn = host->subnqn;
	struct nvc_queue *queue = discovery_ready(t, host);
	uint64_t num = num_entries(t, queue);
	struct nvc_discovery_entry entry = {0};
	bool found = false;

	host->subnqn = subnqn;
	for (uint64_t i = 0; i < num && i < MAX_ENTRIES && !found; i++)
		found = read_entry(t, queue, i, &entry) &&
			is_about(&entry, subnqn, host->addresses[kind].port);
	if (!found)
		test_skip(t, "the log of %llu entries has none for the subsystem on the %s port",
			(unsigned long long)num, port_name);
	return entry;
}

/* {port} */
static const struct case_param ports[] = {{"main", {NVC_PORT_MAIN}},
	{"tls-only", {NVC_PORT_TLS_ONLY}}, {"plain-only", {NVC_PORT_PLAIN_ONLY}}, {NULL, {0}}};

CASE(sectype, .id = "discovery.secure-channel",
	.title = "SECTYPE and TSC of the discovery log say what the port asks for",
	.checks = {REQ_C_233}, .needs = NEED_AUTH, .params = ports)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	const enum nvc_port_kind kind = (enum nvc_port_kind)param[0];
	struct nvc_discovery_entry entry;
	unsigned int tsc;

	if (test_running(t) && !host->addresses[kind].port)
		test_skip(t, "the profile names no such port");
	entry = entry_of(t, host, kind,
		kind == NVC_PORT_MAIN	    ? "main"
		: kind == NVC_PORT_TLS_ONLY ? "TLS"
					    : "plain");
	tsc = entry.treq & TSC_MASK;
	expect_true(t, REQ_C_233, tsc != TSC_RESERVED, "a TSC that is defined", "TREQ %02Xh",
		entry.treq);
	expect_true(t, REQ_C_233, (tsc == TSC_REQUIRED) == (kind == NVC_PORT_TLS_ONLY),
		"TSC required where nothing but TLS is served, and only there", "TREQ %02Xh",
		entry.treq);
	if (kind != NVC_PORT_MAIN) /* a port for both kinds may give either */
		expect_true(t, REQ_C_233,
			entry.sectype == (kind == NVC_PORT_TLS_ONLY ? SECTYPE_TLS13 : SECTYPE_NONE),
			"SECTYPE 2 with TLS, 0 without", "SECTYPE %u", entry.sectype);
}

/* What the identity has to do on Connect. */
static const struct case_param identities[] = {
	{"with-secret", {0}}, {"without-secret", {1}}, {NULL, {0}}};

CASE(tasc, .id = "discovery.authentication",
	.title = "TASC of the discovery log says what Connect then asks for", .checks = {REQ_C_234},
	.needs = NEED_AUTH, .params = identities)
{
	struct nvc_host *host = host_as(t, param[0] ? want_open() : ORDINARY);
	struct nvc_discovery_entry entry = entry_of(t, host, NVC_PORT_MAIN, "main");
	struct nvc_queue *admin = connect_admin(t, host);
	const unsigned int tasc = entry.treq >> TASC_SHIFT & 3;
	bool asked;

	if (!test_running(t))
		return;
	asked = nvc_queue_info(admin)->atr || nvc_queue_info(admin)->ascr;
	expect_true(t, REQ_C_234, tasc != TASC_RESERVED && (tasc != 0) == asked,
		asked ? "TASC 01b or 10b" : "TASC 00b", "TREQ %02Xh, AUTHREQ %s", entry.treq,
		asked ? "not 0" : "0");
}

CASE(gate, .id = "discovery.before-authentication",
	.title = "A discovery controller that asks for authentication hands out no log before it",
	.checks = {REQ_C_236}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE)
{
	struct nvc_queue *queue = discovery_controller(t, host_as(t, ORDINARY));
	struct nvc_completion done = {0};
	struct nvc_error err = {0};

	if (test_running(t) && !nvc_queue_info(queue)->atr && !nvc_queue_info(queue)->ascr)
		test_skip(t, "the discovery controller does not ask this host for authentication");
	if (!test_running(t))
		return;
	expect_true(t, REQ_C_236,
		nvc_do_get_log_page(queue, NVC_LOG_DISCOVERY, 0, NVC_DISCOVERY_HEADER_LEN, &done,
			&err) == NVC_OK &&
			(done.status == NVC_SC_AUTH_REQUIRED ||
				done.status == NVC_SC_COMMAND_SEQUENCE) &&
			done.data.len == 0,
		"status 191h, or 00Ch of a controller that is not enabled",
		"%s%03Xh, %zu bytes of data", done.answered ? "status " : err.text, done.status,
		done.data.len);
	authenticate(t, transaction(t, queue, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL));
	enable(t, queue);
	if (read_log(t, queue, 0, NVC_DISCOVERY_HEADER_LEN, &done))
		test_judged(t, REQ_C_236, "after it the log is read");
}

/* How far behind the end of the log; {megabytes, bytes}. The last is the largest offset there is. */
static const struct case_param beyond[] = {{"4", {0, 4}}, {"1024", {0, 1024}}, {"1-mib", {1, 0}},
	{"2-gib", {2048, 0}}, {"maximum", {-1, 0}}, {NULL, {0}}};

CASE(lpo, .id = "discovery.log-beyond-end",
	.title = "Behind the end of the discovery log there is an error or zeros, never anything "
		 "else",
	.checks = {REQ_C_236}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE, .params = beyond)
{
	struct nvc_queue *queue = discovery_ready(t, host_as(t, ORDINARY));
	const uint64_t end =
		NVC_DISCOVERY_HEADER_LEN + num_entries(t, queue) * NVC_DISCOVERY_ENTRY_LEN;
	const uint64_t offset = param[0] < 0
					? UINT64_MAX - 3
					: end + ((uint64_t)param[0] << 20) + (uint64_t)param[1];
	struct nvc_completion done = {0};
	struct nvc_error err = {0};

	if (!test_running(t))
		return;
	test_step(t, "Get Log Page 70h, 4096 bytes from %llu", (unsigned long long)offset);
	expect_true(t, REQ_C_236,
		nvc_do_get_log_page(queue, NVC_LOG_DISCOVERY, offset, 4096, &done, &err) == NVC_OK,
		"an answer", "%s", done.answered ? "an answer" : err.text);
	expect_true(t, REQ_C_236, nvc_slice_is_zero(done.data), "an error status, or zeros",
		"status %03Xh, %zu bytes that are not all zero", done.status, done.data.len);
}
