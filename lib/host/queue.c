/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/queue_state.h"

enum { DEFAULT_SQSIZE = 31 };

static const struct nvc_queue_options ordinary;

static void observe_bytes(void *self, bool h2c, struct nvc_slice bytes, uint64_t time)
{
	const struct nvc_queue *queue = self;
	const struct nvc_host_observer *observer = &queue->host->observer;

	if (observer->bytes != NULL)
		observer->bytes(observer->self, queue->info.connection, h2c, bytes, time);
}

static void observe_end(void *self, bool h2c, enum nvc_end how, uint64_t time)
{
	const struct nvc_queue *queue = self;
	const struct nvc_host_observer *observer = &queue->host->observer;

	if (observer->ended != NULL)
		observer->ended(observer->self, queue->info.connection, h2c, how, time);
}

static void observe_wait(void *self, uint64_t time)
{
	const struct nvc_queue *queue = self;
	const struct nvc_host_observer *observer = &queue->host->observer;

	if (observer->waited != NULL)
		observer->waited(observer->self, queue->info.connection, time);
}

static void network_bytes(void *self, bool h2c, struct nvc_slice bytes, uint64_t time)
{
	const struct nvc_queue *queue = self;
	const struct nvc_host_network *network = &queue->host->network;

	network->bytes(network->self, queue->network, h2c, bytes, time);
}

static void network_end(void *self, bool h2c, enum nvc_end how, uint64_t time)
{
	const struct nvc_queue *queue = self;
	const struct nvc_host_network *network = &queue->host->network;

	network->ended(network->self, queue->network, h2c, how, time);
}

/* Stands under TLS and over faults, so that it sees records, and each of them once. */
static bool tap_network(
	struct nvc_queue *queue, const struct nvc_stream *lowest, const struct nvc_address *to)
{
	struct nvc_host *host = queue->host;
	const struct nvc_tap tap = {queue, network_bytes, network_end, NULL};

	if (host->network.opened == NULL)
		return true;
	queue->network = ++host->num_networks;
	host->network.opened(
		host->network.self, queue->network, lowest, to, nvc_env_now(&host->world->env));
	queue->stream = nvc_tap_new(queue->stream, host->world, tap);
	return queue->stream != NULL;
}

/* Does the TLS handshake over queue->stream, which is gone when it fails. */
static enum nvc_result secure(struct nvc_queue *queue, const struct nvc_queue_options *options,
	size_t record_len, uint64_t deadline, struct nvc_error *err)
{
	struct nvc_host *host = queue->host;
	struct nvc_tls_options offer = {0};
	struct nvc_stream *lower = queue->stream;
	enum nvc_result result;

	if (options->tls_options != NULL)
		offer = *options->tls_options;
	else
		offer.psk = options->tls;
	if (offer.keylog == NULL) {
		offer.keylog = host->keylog;
		offer.keylog_self = host->keylog_self;
	}
	if (offer.record_len == 0)
		offer.record_len = record_len;
	queue->info.tls = true;
	if (offer.psk != NULL)
		snprintf(queue->info.tls_identity, sizeof(queue->info.tls_identity), "%s",
			offer.psk->identity);
	queue->stream = NULL;
	result = nvc_tls_connect(lower, host->world, &offer, deadline, &queue->tls, &host->open_end,
		&host->open_alert, err);
	queue->stream = queue->tls;
	return result;
}

static bool is_fault(const struct nvc_fault_plan *plan)
{
	return plan->max_segment != 0 || plan->merge || plan->delay != 0 || plan->cut_after != 0;
}

/* The plan of the stream below TLS. */
static struct nvc_fault_plan below(struct nvc_fault_plan plan, bool tls)
{
	plan.merge = plan.merge && !(tls && plan.record_len != 0);
	return plan;
}

/* Puts a stream above TLS that holds sends back until an answer is waited for, so that PDUs share records. */
static bool merge_above(struct nvc_queue *queue, const struct nvc_fault_plan *plan)
{
	const struct nvc_fault_plan merge = {.merge = true};

	if (plan->merge && plan->record_len != 0)
		queue->stream = nvc_fault_new(queue->stream, queue->host->world, &merge);
	return queue->stream != NULL;
}

static enum nvc_result connect_stream(
	struct nvc_queue *queue, const struct nvc_queue_options *options, struct nvc_error *err)
{
	struct nvc_host *host = queue->host;
	const bool tls = options->tls != NULL || options->tls_options != NULL;
	/* Where no port takes both, what goes over TLS goes to the one that demands it. */
	const bool demands = tls && options->port == NVC_PORT_MAIN &&
			     host->addresses[NVC_PORT_MAIN].port == NULL;
	const struct nvc_address *to =
		&host->addresses[demands ? NVC_PORT_TLS_ONLY : options->port];
	const struct nvc_fault_plan *whole = options->fault != NULL ? options->fault : &host->fault;
	const struct nvc_fault_plan plan = below(*whole, tls);
	const uint64_t deadline = nvc_queue_deadline(queue, 0);
	const struct nvc_tap tap = {queue, observe_bytes, observe_end, observe_wait};
	const struct nvc_stream *lowest;
	enum nvc_result result;

	if (to->port == NULL)
		return nvc_fail(err, NVC_E_INVALID, "the host has no address of port kind %d",
			(int)options->port);
	result = host->world->connect(host->world->self, to, deadline, &queue->stream, err);
	if (result != NVC_OK)
		return result;
	lowest = queue->stream;
	if (is_fault(&plan)) {
		queue->stream = nvc_fault_new(queue->stream, host->world, &plan);
		if (queue->stream == NULL)
			return nvc_fail(err, NVC_E_NO_MEMORY, "no memory for a connection");
	}
	if (!tap_network(queue, lowest, to))
		return nvc_fail(err, NVC_E_NO_MEMORY, "no memory for a connection");
	if (tls) {
		result = secure(queue, options, whole->record_len, deadline, err);
		if (result != NVC_OK)
			return result;
		if (!merge_above(queue, whole))
			return nvc_fail(err, NVC_E_NO_MEMORY, "no memory for a connection");
	}
	queue->info.connection = ++host->num_connections;
	if (host->observer.opened != NULL)
		host->observer.opened(host->observer.self, queue->info.connection,
			queue->info.label, queue->info.tls, nvc_env_now(&host->world->env));
	queue->stream = nvc_tap_new(queue->stream, host->world, tap);
	if (queue->stream == NULL)
		return nvc_fail(err, NVC_E_NO_MEMORY, "no memory for a connection");
	return NVC_OK;
}

enum nvc_result nvc_queue_open(struct nvc_host *host, const struct nvc_queue_options *options,
	struct nvc_queue **out, struct nvc_error *err)
{
	struct nvc_queue *queue = calloc(1, sizeof(*queue));
	enum nvc_result result;

	*out = NULL;
	host->open_end = NVC_END_OPEN;
	host->open_alert = 0;
	if (queue == NULL) {
		nvc_fail(err, NVC_E_NO_MEMORY, "no memory for a queue");
		return NVC_E_NO_MEMORY;
	}
	if (options == NULL)
		options = &ordinary;
	queue->host = host;
	queue->timeout = options->timeout;
	queue->info.host = host;
	queue->info.qid = options->qid;
	if (options->label != NULL)
		snprintf(queue->info.label, sizeof(queue->info.label), "%s", options->label);
	else if (options->qid == 0)
		snprintf(queue->info.label, sizeof(queue->info.label), "admin");
	else
		snprintf(queue->info.label, sizeof(queue->info.label), "io %u", options->qid);
	result = connect_stream(queue, options, err);
	if (result != NVC_OK) {
		host->num_timeouts += result == NVC_E_TIMEOUT;
		host->num_unopened += result == NVC_E_TIMEOUT;
		nvc_stream_free(queue->stream);
		free(queue);
		return result;
	}
	queue->next = host->queues;
	host->queues = queue;
	*out = queue;
	return NVC_OK;
}

enum nvc_result nvc_queue_take_icresp(
	struct nvc_queue *queue, const struct nvc_pdu *pdu, uint8_t dgst, struct nvc_error *err)
{
	struct nvc_queue_info *info = &queue->info;

	if (pdu->ch.type == NVC_PDU_C2H_TERM_REQ) {
		info->term_received = true;
		info->term = pdu->term;
		return nvc_fail(err, NVC_E_CLOSED,
			"%s: the controller answered ICReq with C2HTermReq FES %02xh, FEI %u",
			info->label, pdu->term.fes, pdu->term.fei);
	}
	if (pdu->ch.type != NVC_PDU_IC_RESP) {
		nvc_queue_violation(
			queue, "ICReq was answered with a PDU of type %02xh", pdu->ch.type);
		return nvc_fail(err, NVC_E_MALFORMED,
			"%s: ICReq was answered with a PDU of type %02xh", info->label,
			pdu->ch.type);
	}
	info->icresp = pdu->ic;
	if (pdu->ic.pfv != 0)
		nvc_queue_violation(queue, "ICResp with PFV %u", pdu->ic.pfv);
	if (pdu->ic.pda > 31)
		nvc_queue_violation(queue, "ICResp with CPDA %u", pdu->ic.pda);
	if ((pdu->ic.dgst & ~dgst) != 0) {
		nvc_queue_violation(
			queue, "ICResp with DGST %02xh, asked for was %02xh", pdu->ic.dgst, dgst);
		return nvc_fail(err, NVC_E_MALFORMED, "%s: ICResp turns on a digest not asked for",
			info->label);
	}
	info->mode.hdgst = (pdu->ic.dgst & NVC_DGST_HEADER) != 0;
	info->mode.ddgst = (pdu->ic.dgst & NVC_DGST_DATA) != 0;
	info->mode.pda = pdu->ic.pda & 31;
	info->initialised = true;
	return NVC_OK;
}

enum nvc_result nvc_queue_ic(
	struct nvc_queue *queue, const struct nvc_queue_options *options, struct nvc_error *err)
{
	struct nvc_pdu pdu = {.ch.type = NVC_PDU_IC_REQ};
	struct nvc_slice bytes;
	uint8_t dgst;
	enum nvc_result result;

	if (options == NULL)
		options = &ordinary;
	pdu.ic = options->ic != NULL ? *options->ic : queue->host->ic;
	result = nvc_queue_encode_pdu(queue, &pdu, options->ic_bends, &bytes, err);
	if (result != NVC_OK)
		return result;
	dgst = bytes.len > 11 ? bytes.data[11] : 0;
	result = nvc_queue_send_bytes(queue, bytes, nvc_queue_deadline(queue, 0), err);
	if (result != NVC_OK)
		return result;
	queue->info.pdus_sent++;
	result = nvc_queue_next_pdu(queue, nvc_queue_deadline(queue, 0), &pdu, err);
	return result == NVC_OK ? nvc_queue_take_icresp(queue, &pdu, dgst, err) : result;
}

static enum nvc_result encode_connect_data(const struct nvc_queue *queue,
	const struct nvc_queue_options *options, struct nvc_writer *out, struct nvc_error *err)
{
	const struct nvc_host *host = queue->host;
	const char *hostnqn = options->hostnqn != NULL ? options->hostnqn : host->hostnqn;
	const char *subnqn = options->subnqn != NULL ? options->subnqn : host->subnqn;
	struct nvc_connect_data data = {.cntlid = NVC_CNTLID_DYNAMIC};

	if (hostnqn == NULL || subnqn == NULL)
		return nvc_fail(err, NVC_E_INVALID, "Connect needs a host NQN and a subsystem NQN");
	if (options->admin != NULL)
		data.cntlid = options->admin->info.cntlid;
	memcpy(data.hostid, options->hostid != NULL ? options->hostid : host->hostid,
		sizeof(data.hostid));
	nvc_nqn_put(data.hostnqn, hostnqn);
	nvc_nqn_put(data.subnqn, subnqn);
	if (nvc_encode(&nvc_connect_data_layout, &data, options->data_bends, out) != NVC_OK)
		return nvc_fail(
			err, NVC_E_INVALID, "the data of Connect cannot be encoded as asked");
	return NVC_OK;
}

enum nvc_result nvc_queue_connect(struct nvc_queue *queue, const struct nvc_queue_options *options,
	struct nvc_completion *done, struct nvc_error *err)
{
	uint8_t data[NVC_CONNECT_DATA_LEN + 1024]; /* room for bends that append */
	struct nvc_writer writer = nvc_writer_over(data, sizeof(data));
	struct nvc_completion own;
	struct nvc_queue_info *info = &queue->info;
	struct nvc_cmd_connect fields = {.head.opc = NVC_OPC_FABRICS, .fctype = NVC_FCTYPE_CONNECT};
	struct nvc_command command = {.layout = &nvc_cmd_connect_layout, .fields = &fields};
	enum nvc_result result;

	if (options == NULL)
		options = &ordinary;
	if (done == NULL)
		done = &own;
	*done = (struct nvc_completion){0};
	info->qid = options->qid;
	fields.qid = options->qid;
	fields.sqsize = options->sqsize != 0 ? options->sqsize : DEFAULT_SQSIZE;
	fields.cattr = options->cattr;
	fields.kato = options->qid == 0 ? queue->host->kato : 0;
	result = encode_connect_data(queue, options, &writer, err);
	if (result != NVC_OK)
		return result;
	command.out = nvc_writer_slice(&writer);
	command.bends = options->sqe_bends;
	result = nvc_queue_do(queue, &command, done, err);
	if (result != NVC_OK)
		return result;
	info->connect = done->cqe;
	if (done->status != NVC_SC_SUCCESS)
		return NVC_OK;
	info->connected = true;
	info->cntlid = (uint16_t)done->cqe.result;
	info->atr = (done->cqe.result & NVC_CONNECT_ATR) != 0;
	info->ascr = (done->cqe.result & NVC_CONNECT_ASCR) != 0;
	return NVC_OK;
}

enum nvc_result nvc_queue_establish(struct nvc_host *host, const struct nvc_queue_options *options,
	struct nvc_queue **queue, struct nvc_error *err)
{
	struct nvc_completion done;
	enum nvc_result result = nvc_queue_open(host, options, queue, err);

	if (result == NVC_OK)
		result = nvc_queue_ic(*queue, options, err);
	if (result == NVC_OK)
		result = nvc_queue_connect(*queue, options, &done, err);
	if (result == NVC_OK && done.status != NVC_SC_SUCCESS)
		result = nvc_fail(err, NVC_E_REFUSED, "%s: Connect was answered with %03xh (%s)",
			(*queue)->info.label, done.status, nvc_status_name(done.status));
	return result;
}

const struct nvc_queue_info *nvc_queue_info(const struct nvc_queue *queue)
{
	return &queue->info;
}

struct nvc_queue *nvc_queue_next(const struct nvc_queue *queue)
{
	return queue->next;
}

void nvc_queue_set_timeout(struct nvc_queue *queue, uint64_t timeout)
{
	queue->timeout = timeout;
}

struct nvc_stream *nvc_queue_stream(const struct nvc_queue *queue)
{
	return queue->stream;
}

struct nvc_stream *nvc_queue_tls_stream(const struct nvc_queue *queue)
{
	return queue->tls;
}

void nvc_queue_close(struct nvc_queue *queue, enum nvc_end how)
{
	if (queue->info.local_end != NVC_END_OPEN)
		return;
	queue->info.local_end = how;
	nvc_stream_close(queue->stream, how);
}

void nvc_queue_free(struct nvc_queue *queue)
{
	if (queue == NULL)
		return;
	for (struct nvc_queue **link = &queue->host->queues; *link != NULL; link = &(*link)->next) {
		if (*link == queue) {
			*link = queue->next;
			break;
		}
	}
	nvc_queue_close(queue, NVC_END_FIN);
	nvc_stream_free(queue->stream);
	for (size_t i = 0; i < NVC_QUEUE_MAX_PENDING; i++) {
		free(queue->slots[i].in);
		free(queue->slots[i].out);
	}
	free(queue->rx);
	free(queue->tx);
	free(queue);
}

enum nvc_result nvc_queue_usable(struct nvc_queue *queue, uint64_t timeout,
	struct nvc_completion *done, struct nvc_error *err)
{
	const uint64_t before = queue->timeout;
	enum nvc_result result;

	if (timeout != 0)
		queue->timeout = timeout;
	if (queue->info.qid == 0)
		result = nvc_do_property_get(queue, NVC_PROP_CSTS, done, err);
	else
		result = nvc_do_read(queue, 1, 0, queue->info.host->block_len, done, err);
	queue->timeout = before;
	return result;
}
