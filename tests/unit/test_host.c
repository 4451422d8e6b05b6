/* SPDX-License-Identifier: BSD-3-Clause */
/* The host emulator against scripted controllers: connections, queues and commands. */
#include "host_data.h"

static void check_icreq(struct script *script, const struct nvc_pdu *pdu)
{
	const struct hexed want = capsule_of("icreq");

	expect_bytes("ICReq", HEXED(want), nvc_slice_of(script->in, NVC_PDU_IC_LEN));
	answer_ic(script, pdu);
}

static void check_connect(struct script *script, const struct nvc_pdu *pdu)
{
	const struct hexed sqe = capsule_of("connect_sqe_incapsule");
	const struct hexed data = capsule_of("connect_data");

	expect_bytes("SQE of Connect", HEXED(sqe), NVC_SLICE(pdu->sqe));
	expect_bytes("data of Connect", HEXED(data), pdu->data);
	answer_connect(script, pdu);
}

START_TEST(connect_is_byte_for_byte_the_vector)
{
	struct stage *stage = STAGE(LINE(NVC_PDU_IC_REQ, check_icreq), COMMAND(check_connect));
	const struct hexed data = capsule_of("connect_data");
	struct nvc_connect_data fields;
	char hostnqn[NVC_NQN_MAX_LEN + 1], subnqn[NVC_NQN_MAX_LEN + 1];
	const struct nvc_queue_info *info;

	ck_assert_int_eq(
		nvc_decode(&nvc_connect_data_layout, HEXED(data), &fields, NULL, NULL), NVC_OK);
	ck_assert(nvc_nqn_get(fields.hostnqn, hostnqn) && nvc_nqn_get(fields.subnqn, subnqn));
	stage->host.hostnqn = hostnqn;
	stage->host.subnqn = subnqn;
	memcpy(stage->host.hostid, fields.hostid, sizeof(fields.hostid));
	stage->host.kato = 120000;
	stage_connect(stage);
	info = nvc_queue_info(stage->queue);
	ck_assert(info->connected && info->atr && !info->ascr);
	ck_assert_uint_eq(info->cntlid, 0x0102);
	ck_assert_uint_eq(info->connection, 1);
	ck_assert_str_eq(info->label, "admin");
	ck_assert_uint_eq(info->num_violations, 0);
	stage_close(stage);
}
END_TEST

START_TEST(digests_are_on_when_both_ask)
{
	static const struct {
		uint8_t ours, theirs;
		bool hdgst, ddgst;
	} rows[] = {{3, 3, true, true}, {1, 1, true, false}, {2, 2, false, true},
		{3, 0, false, false}, {0, 0, false, false}};
	const struct {
		uint8_t ours, theirs;
		bool hdgst, ddgst;
	} row = {rows[_i].ours, rows[_i].theirs, rows[_i].hdgst, rows[_i].ddgst};
	struct stage *stage = STAGE(OPENING);

	stage->host.ic.dgst = row.ours;
	stage->script.dgst = row.theirs;
	stage_connect(stage);
	ck_assert_int_eq(nvc_queue_info(stage->queue)->mode.hdgst, row.hdgst);
	ck_assert_int_eq(nvc_queue_info(stage->queue)->mode.ddgst, row.ddgst);
	ck_assert_uint_eq(nvc_queue_info(stage->queue)->num_violations, 0);
	stage_close(stage);
}
END_TEST

START_TEST(digest_nobody_asked_for_is_refused)
{
	struct stage *stage = STAGE(LINE(NVC_PDU_IC_REQ, answer_ic));
	struct nvc_error err = {0};

	stage->script.dgst = NVC_DGST_HEADER;
	ck_assert_int_eq(
		nvc_queue_establish(&stage->host, NULL, &stage->queue, &err), NVC_E_MALFORMED);
	ck_assert_ptr_nonnull(stage->queue);
	ck_assert_ptr_nonnull(strstr(err.text, "digest not asked for"));
	stage_close(stage);
}
END_TEST

static void refuse_connect(struct script *script, const struct nvc_pdu *pdu)
{
	say_cqe(script, (struct nvc_cqe){.cid = cid_of(pdu),
				.status_field = nvc_status_field(NVC_SC_CONNECT_HOST, true)});
}

START_TEST(refused_connect_tells_its_status)
{
	struct stage *stage = STAGE(LINE(NVC_PDU_IC_REQ, answer_ic), COMMAND(refuse_connect));
	struct nvc_error err = {0};

	ck_assert_int_eq(
		nvc_queue_establish(&stage->host, NULL, &stage->queue, &err), NVC_E_REFUSED);
	ck_assert_ptr_nonnull(strstr(err.text, "184h"));
	ck_assert(!nvc_queue_info(stage->queue)->connected);
	ck_assert_uint_eq(
		nvc_cqe_status(nvc_queue_info(stage->queue)->connect.status_field), 0x184);
	stage_close(stage);
}
END_TEST

START_TEST(nobody_listens)
{
	struct stage *stage = STAGE(LINE(0, NULL));
	struct nvc_error err = {0};

	stage->script.num_lines = 0;
	stage->host.addresses[NVC_PORT_MAIN].port = "1";
	ck_assert_int_eq(
		nvc_queue_establish(&stage->host, NULL, &stage->queue, &err), NVC_E_REFUSED);
	ck_assert_ptr_null(stage->queue);
	ck_assert_int_eq(
		nvc_queue_open(&stage->host, &(struct nvc_queue_options){.port = NVC_PORT_TLS_ONLY},
			&stage->queue, NULL),
		NVC_E_INVALID);
	stage_close(stage);
}
END_TEST

static void check_io_connect(struct script *script, const struct nvc_pdu *pdu)
{
	ck_assert_uint_eq(nvc_get_le(pdu->sqe + 42, 2), 3);
	/* KATO is reserved on I/O queues. */
	ck_assert_uint_eq(nvc_get_le(pdu->sqe + 48, 4), 0);
	ck_assert_uint_eq(nvc_get_le(pdu->data.data + 16, 2), 0x0102);
	answer_success(script, pdu);
}

START_TEST(io_queue_joins_the_association_of_its_admin_queue)
{
	struct stage *stage =
		STAGE(OPENING, LINE(NVC_PDU_IC_REQ, answer_ic), COMMAND(check_io_connect));
	struct nvc_queue_options options = {.qid = 3};
	struct nvc_queue *io;

	stage_connect(stage);
	options.admin = stage->queue;
	ck_assert_int_eq(nvc_queue_establish(&stage->host, &options, &io, NULL), NVC_OK);
	ck_assert_str_eq(nvc_queue_info(io)->label, "io 3");
	ck_assert_uint_eq(nvc_queue_info(io)->connection, 2);
	stage_close(stage);
}
END_TEST

/* ---- enabling ---- */

static void give_property(struct script *script, const struct nvc_pdu *pdu)
{
	static const uint64_t csts[] = {0, 0, 1};
	const uint64_t ofst = nvc_get_le(pdu->sqe + 44, 4);
	uint64_t value = 0;

	if (pdu->sqe[4] == NVC_FCTYPE_PROPERTY_SET) {
		ck_assert_uint_eq(ofst, NVC_PROP_CC);
		ck_assert_uint_eq(nvc_get_le(pdu->sqe + 48, 8), NVC_CC_ENABLE);
	} else if (ofst == NVC_PROP_CAP) {
		ck_assert_uint_eq(pdu->sqe[40], 1);
		value = 60ull << 24; /* CAP.TO: 30 s, longer than the timeout of a call */
	} else {
		ck_assert_uint_eq(ofst, NVC_PROP_CSTS);
		value = csts[script->num_cids];
		if (script->num_cids < 2)
			note_cid(script, pdu);
	}
	say_cqe(script, (struct nvc_cqe){.cid = cid_of(pdu), .result = value});
}

START_TEST(enabling_waits_for_ready)
{
	struct stage *stage = STAGE(OPENING, COMMAND(give_property), COMMAND(give_property),
		COMMAND(give_property), COMMAND(give_property), COMMAND(give_property));
	uint64_t before;

	stage_connect(stage);
	before = nvc_env_now(&stage->world.env);
	ck_assert_int_eq(nvc_do_enable(stage->queue, NULL), NVC_OK);
	ck_assert_uint_gt(nvc_env_now(&stage->world.env), before);
	stage_close(stage);
}
END_TEST

static void give_cfs(struct script *script, const struct nvc_pdu *pdu)
{
	say_cqe(script, (struct nvc_cqe){.cid = cid_of(pdu), .result = NVC_CSTS_CFS});
}

START_TEST(enabling_a_dead_controller_fails)
{
	struct stage *stage = STAGE(OPENING, COMMAND(give_property), COMMAND(give_property),
		COMMAND(_i == 0 ? give_cfs : refuse_connect));
	struct nvc_error err = {0};

	stage_connect(stage);
	ck_assert_int_eq(nvc_do_enable(stage->queue, &err), NVC_E_REFUSED);
	ck_assert_ptr_nonnull(strstr(err.text, _i == 0 ? "CSTS.CFS" : "184h"));
	stage_close(stage);
}
END_TEST

/* ---- completions ---- */

static void answer_backwards(struct script *script, const struct nvc_pdu *pdu)
{
	note_cid(script, pdu);
	while (script->num_cids > 0) {
		const uint16_t cid = script->cids[--script->num_cids];

		say_cqe(script, (struct nvc_cqe){.cid = cid, .result = 100u + cid});
	}
}

START_TEST(completions_come_in_any_order)
{
	struct stage *stage =
		STAGE(OPENING, COMMAND(note_cid), COMMAND(note_cid), COMMAND(answer_backwards));
	struct nvc_completion done;
	uint16_t tags[3];

	stage_connect(stage);
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(
			nvc_submit_property_get(stage->queue, NVC_PROP_CSTS, &tags[i], NULL),
			NVC_OK);
	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(nvc_queue_wait(stage->queue, tags[i], 0, &done, NULL), NVC_OK);
		ck_assert_uint_eq(done.cqe.result, 100u + tags[i]);
	}
	ck_assert_int_eq(nvc_queue_wait(stage->queue, tags[0], 0, &done, NULL), NVC_E_INVALID);
	ck_assert_uint_eq(nvc_queue_info(stage->queue)->num_violations, 0);
	stage_close(stage);
}
END_TEST

static void check_bent_cid(struct script *script, const struct nvc_pdu *pdu)
{
	ck_assert_uint_eq(cid_of(pdu), 0x4711);
	answer_success(script, pdu);
}

START_TEST(bent_cid_is_waited_for)
{
	struct stage *stage = STAGE(OPENING, COMMAND(check_bent_cid));
	const struct nvc_cmd_nvme fields = {.head.opc = NVC_ADMIN_KEEP_ALIVE};
	const struct nvc_command command = {.layout = &nvc_cmd_nvme_layout,
		.fields = &fields,
		.bends = NVC_BENDS({.field = "cid", .kind = NVC_BEND_SET, .value = 0x4711})};
	struct nvc_completion done;

	stage_connect(stage);
	ck_assert_int_eq(nvc_queue_do(stage->queue, &command, &done, NULL), NVC_OK);
	ck_assert_uint_eq(done.cqe.result, 0x1122334455667788);
	stage_close(stage);
}
END_TEST

START_TEST(silence_is_a_timeout_after_exactly_the_timeout)
{
	struct stage *stage = STAGE(OPENING, COMMAND(note_cid));
	struct nvc_completion done;
	uint64_t before;
	uint16_t tag;

	stage_connect(stage);
	before = nvc_env_now(&stage->world.env);
	ck_assert_int_eq(nvc_submit_property_get(stage->queue, NVC_PROP_CSTS, &tag, NULL), NVC_OK);
	ck_assert_int_eq(
		nvc_queue_wait(stage->queue, tag, NVC_SEC(120), &done, NULL), NVC_E_TIMEOUT);
	ck_assert(!done.answered);
	ck_assert_uint_eq(nvc_env_now(&stage->world.env) - before, NVC_SEC(120));
	/* The command is still on its way. */
	say_cqe(&stage->script, (struct nvc_cqe){.cid = tag, .result = 7});
	ck_assert_int_eq(nvc_queue_wait(stage->queue, tag, 0, &done, NULL), NVC_OK);
	ck_assert_uint_eq(done.cqe.result, 7);
	stage_close(stage);
}
END_TEST

/* ---- the end ---- */

static void answer_term(struct script *script, const struct nvc_pdu *pdu)
{
	const struct nvc_pdu term = {.ch.type = NVC_PDU_C2H_TERM_REQ,
		.term = {.fes = NVC_FES_INVALID_FIELD, .fei = 10},
		.data = nvc_slice_of(script->in, NVC_PDU_CMD_HLEN)};

	(void)pdu;
	say(script, &term, NULL);
}

START_TEST(termreq_is_recorded)
{
	struct stage *stage = STAGE(OPENING, COMMAND(answer_term));
	struct nvc_completion done;
	struct nvc_error err = {0};
	enum nvc_end end = NVC_END_RST;

	stage_connect(stage);
	ck_assert_int_eq(nvc_do_keep_alive(stage->queue, &done, &err), NVC_E_CLOSED);
	ck_assert_ptr_nonnull(strstr(err.text, "C2HTermReq FES 01h"));
	ck_assert(nvc_queue_info(stage->queue)->term_received);
	ck_assert_uint_eq(nvc_queue_info(stage->queue)->term.fei, 10);
	ck_assert_int_eq(nvc_queue_await_end(stage->queue, 0, &end, NULL), NVC_OK);
	ck_assert_int_eq(end, NVC_END_OPEN);
	stage_close(stage);
}
END_TEST

START_TEST(the_end_of_the_peer_is_told_apart)
{
	struct stage *stage = STAGE(OPENING, COMMAND(answer_success));
	enum nvc_end end = NVC_END_FIN;
	struct nvc_error err = {0};

	stage_connect(stage);
	ck_assert_int_eq(nvc_queue_await_end(stage->queue, NVC_SEC(3), &end, &err), NVC_E_TIMEOUT);
	ck_assert_int_eq(end, NVC_END_OPEN);
	ck_assert_int_eq(nvc_queue_usable(stage->queue, 0, NULL, NULL), NVC_OK);
	stage->script.wants = _i == 0 ? NVC_END_FIN : NVC_END_RST;
	ck_assert_int_eq(nvc_queue_await_end(stage->queue, 0, &end, NULL), NVC_OK);
	ck_assert_int_eq(end, stage->script.wants);
	ck_assert_int_eq(nvc_queue_info(stage->queue)->end, stage->script.wants);
	ck_assert_int_ne(nvc_queue_usable(stage->queue, 0, NULL, NULL), NVC_OK);
	stage_close(stage);
}
END_TEST

START_TEST(after_our_own_close_nothing_goes)
{
	struct stage *stage = STAGE(OPENING);
	struct nvc_error err = {0};
	enum nvc_end end;

	stage_connect(stage);
	nvc_queue_close(stage->queue, _i == 0 ? NVC_END_FIN : NVC_END_RST);
	ck_assert_int_eq(nvc_do_keep_alive(stage->queue, NULL, &err), NVC_E_STATE);
	ck_assert_ptr_nonnull(strstr(err.text, "we closed"));
	/* After a FIN the end of the peer can still be seen, after a reset there is nothing to see. */
	ck_assert_int_eq(
		nvc_queue_await_end(stage->queue, 0, &end, NULL), _i == 0 ? NVC_OK : NVC_E_STATE);
	ck_assert_int_eq(end, _i == 0 ? NVC_END_FIN : NVC_END_OPEN);
	stage_close(stage);
}
END_TEST

/* ---- hostile controllers ---- */

static enum nvc_result good_conversation(struct stage *stage, struct nvc_completion *done)
{
	struct nvc_error err = {0};
	enum nvc_result result = nvc_queue_establish(&stage->host, NULL, &stage->queue, &err);

	if (result == NVC_OK)
		result = nvc_do_identify(stage->queue, NVC_CNS_CONTROLLER, 0, done, &err);
	if (result == NVC_OK)
		result = nvc_do_property_get(stage->queue, NVC_PROP_CSTS, done, &err);
	ck_assert_int_eq(result, err.result);
	ck_assert_int_eq(result == NVC_OK, err.text[0] == '\0');
	return result;
}

START_TEST(closing_at_any_byte_is_a_clean_error)
{
	enum { WHOLE = 128 + 24 + (24 + 1000) + (24 + 4) + (24 + 3092) + 24 + 24 };

	/* Every byte of the small PDUs and of the headers, a few of the data. */
	for (size_t cut = 1; cut<WHOLE; cut += cut> 200 && cut < WHOLE - 60 ? 13 : 1) {
		struct stage *stage =
			STAGE(OPENING, COMMAND(give_identify_in_pieces), COMMAND(answer_success));
		const uint64_t before = nvc_env_now(&stage->world.env);
		struct nvc_completion done;

		stage->script.cut_after = cut;
		ck_assert_int_eq(good_conversation(stage, &done), NVC_E_CLOSED);
		ck_assert_int_eq(nvc_queue_info(stage->queue)->end, NVC_END_FIN);
		ck_assert_uint_eq(nvc_env_now(&stage->world.env), before);
		stage_close(stage);
	}
}
END_TEST

START_TEST(the_same_uncut_is_good)
{
	struct stage *stage =
		STAGE(OPENING, COMMAND(give_identify_in_pieces), COMMAND(answer_success));
	struct nvc_completion done;

	ck_assert_int_eq(good_conversation(stage, &done), NVC_OK);
	ck_assert_uint_eq(stage->script.total_sent,
		128 + 24 + (24 + 1000) + (24 + 4) + (24 + 3092) + 24 + 24);
	stage_close(stage);
}
END_TEST

static uint64_t garbage_seed;

static void answer_garbage(struct script *script, const struct nvc_pdu *pdu)
{
	struct nvc_seeded *random = nvc_seeded_new(garbage_seed, "garbage");
	uint8_t bytes[600];

	(void)pdu;
	nvc_seeded_random(random, bytes, sizeof(bytes));
	nvc_seeded_free(random);
	/* Half of them look like a PDU at first, so that the garbage gets past the framing. */
	if (garbage_seed % 2 == 0) {
		static const uint8_t types[] = {1, 3, 5, 7, 9};

		bytes[0] = types[garbage_seed / 2 % 5];
		bytes[2] = bytes[0] == 1 ? 128 : 24;
		bytes[3] = bytes[0] == 7 ? 24 : 0;
		nvc_put_le(bytes + 4, garbage_seed % 3 == 0 ? 152 : 24, 4);
	}
	say_raw(script, NVC_SLICE(bytes));
}

START_TEST(garbage_is_survived)
{
	for (garbage_seed = 0; garbage_seed < 300; garbage_seed++) {
		struct stage *first = STAGE(LINE(NVC_PDU_IC_REQ, answer_garbage));
		struct stage *later = STAGE(OPENING, COMMAND(answer_garbage));
		const uint64_t before = nvc_env_now(&later->world.env);
		struct nvc_completion done;
		struct nvc_error err = {0};

		ck_assert_int_ne(
			nvc_queue_establish(&first->host, NULL, &first->queue, &err), NVC_OK);
		ck_assert_str_ne(err.text, "");
		stage_close(first);
		stage_connect(later);
		ck_assert_int_ne(nvc_do_identify(later->queue, 1, 0, &done, NULL), NVC_OK);
		ck_assert_uint_le(nvc_env_now(&later->world.env), before + later->host.timeout);
		stage_close(later);
	}
}
END_TEST

START_TEST(liar_about_plen_is_not_waited_for)
{
	static const uint32_t plens[] = {0, 7, NVC_QUEUE_MAX_PDU + 1, UINT32_MAX};
	struct stage *stage = STAGE(OPENING);
	uint8_t ch[8] = {NVC_PDU_CAPSULE_RESP, 0, 24, 0};
	struct nvc_pdu pdu;
	struct nvc_error err = {0};
	uint64_t before;

	stage_connect(stage);
	before = nvc_env_now(&stage->world.env);
	nvc_put_le(ch + 4, plens[_i], 4);
	say_raw(&stage->script, NVC_SLICE(ch));
	ck_assert_int_eq(nvc_queue_recv_pdu(stage->queue, 0, &pdu, &err), NVC_E_MALFORMED);
	ck_assert_ptr_nonnull(strstr(err.text, "a length no PDU can have"));
	ck_assert_uint_eq(nvc_env_now(&stage->world.env), before);
	/* It stays so: the stream cannot be followed any more. */
	ck_assert_int_eq(nvc_queue_recv_pdu(stage->queue, 0, &pdu, NULL), NVC_E_MALFORMED);
	stage_close(stage);
}
END_TEST

static void answer_flood(struct script *script, const struct nvc_pdu *pdu)
{
	/* Valid completions for somebody else, again and again. */
	script->out_len = script->out_sent = 0;
	say_cqe(script, (struct nvc_cqe){.cid = (uint16_t)(cid_of(pdu) + 1)});
	script->flood = true;
}

START_TEST(flood_is_bounded)
{
	struct stage *stage = STAGE(OPENING, COMMAND(answer_flood));
	struct nvc_completion done;
	struct nvc_error err = {0};

	stage_connect(stage);
	ck_assert_int_eq(nvc_do_keep_alive(stage->queue, &done, &err), NVC_E_MALFORMED);
	ck_assert_ptr_nonnull(strstr(err.text, "none answered"));
	stage_close(stage);
}
END_TEST

/* ---- watchers ---- */

struct watch {
	unsigned int opened, ended;
	size_t sent, received;
	char label[32];
	bool tls;
};

static void watch_opened(
	void *self, uint32_t connection, const char *label, bool tls, uint64_t time)
{
	struct watch *watch = self;

	(void)time;
	ck_assert_uint_eq(connection, ++watch->opened);
	strcpy(watch->label, label);
	watch->tls = tls;
}

static void watch_bytes(
	void *self, uint32_t connection, bool h2c, struct nvc_slice bytes, uint64_t time)
{
	struct watch *watch = self;

	(void)time;
	ck_assert_uint_eq(connection, watch->opened);
	*(h2c ? &watch->sent : &watch->received) += bytes.len;
}

static void watch_ended(void *self, uint32_t connection, bool h2c, enum nvc_end how, uint64_t time)
{
	struct watch *watch = self;

	(void)time;
	ck_assert_uint_eq(connection, watch->opened);
	ck_assert(h2c);
	ck_assert_int_eq(how, NVC_END_FIN);
	watch->ended++;
}

START_TEST(observer_sees_every_byte)
{
	struct stage *stage = STAGE(OPENING);
	struct watch watch = {0};

	stage->host.observer =
		(struct nvc_host_observer){&watch, watch_opened, watch_bytes, watch_ended, NULL};
	stage_connect(stage);
	nvc_queue_free(stage->queue);
	ck_assert_uint_eq(watch.opened, 1);
	ck_assert_uint_eq(watch.ended, 1);
	ck_assert_str_eq(watch.label, "admin");
	ck_assert(!watch.tls);
	ck_assert_uint_eq(watch.sent, 128 + 72 + 1024);
	ck_assert_uint_eq(watch.received, 128 + 24);
	stage_close(stage);
}
END_TEST

START_TEST(counters_of_the_host)
{
	struct stage *stage = STAGE(LINE(0, NULL));

	stage->script.num_lines = 0;
	stage->host.next_s2 = UINT32_MAX;
	ck_assert_uint_eq(nvc_host_new_s2(&stage->host), UINT32_MAX);
	ck_assert_uint_eq(nvc_host_new_s2(&stage->host), 1);
	stage->host.next_t_id = 0xffff;
	ck_assert_uint_eq(nvc_host_new_t_id(&stage->host), 0xffff);
	ck_assert_uint_eq(nvc_host_new_t_id(&stage->host), 0);
	ck_assert(!nvc_slice_is_zero(NVC_SLICE(stage->host.hostid)));
	stage_close(stage);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("host");
	TCase *tc = tcase_create("host");
	SRunner *runner = srunner_create(suite);
	int failed;

	fill_pattern();
	suite_add_tcase(suite, tc);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, connect_is_byte_for_byte_the_vector);
	tcase_add_loop_test(tc, digests_are_on_when_both_ask, 0, 5);
	tcase_add_test(tc, digest_nobody_asked_for_is_refused);
	tcase_add_test(tc, refused_connect_tells_its_status);
	tcase_add_test(tc, nobody_listens);
	tcase_add_test(tc, io_queue_joins_the_association_of_its_admin_queue);
	tcase_add_test(tc, enabling_waits_for_ready);
	tcase_add_loop_test(tc, enabling_a_dead_controller_fails, 0, 2);
	tcase_add_test(tc, completions_come_in_any_order);
	tcase_add_test(tc, bent_cid_is_waited_for);
	tcase_add_test(tc, silence_is_a_timeout_after_exactly_the_timeout);
	tcase_add_test(tc, termreq_is_recorded);
	tcase_add_loop_test(tc, the_end_of_the_peer_is_told_apart, 0, 2);
	tcase_add_loop_test(tc, after_our_own_close_nothing_goes, 0, 2);
	tcase_add_test(tc, the_same_uncut_is_good);
	tcase_add_test(tc, closing_at_any_byte_is_a_clean_error);
	tcase_add_test(tc, garbage_is_survived);
	tcase_add_loop_test(tc, liar_about_plen_is_not_waited_for, 0, 4);
	tcase_add_test(tc, flood_is_bounded);
	tcase_add_test(tc, observer_sees_every_byte);
	tcase_add_test(tc, counters_of_the_host);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
