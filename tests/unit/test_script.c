/* SPDX-License-Identifier: BSD-3-Clause */
/* The host side of a capture as a script: what was ordinary is said to be, and what was bent is said how. */
#include "capture/script.h"
#include "capture_frames.h"
#include "observer_talk.h"

enum { AT_DATA = 72, AT_T_ID = AT_DATA + 4, AT_HL = AT_DATA + 6, AT_C2 = AT_DATA + 16 + 32 };

static struct talk talk;
static struct nvc_script script;

/* Makes the script of the conversation in `talk`, recorded as a capture; nvc_script_free is the caller's. */
static void read_script(void)
{
	static const struct nvc_recorder_about about = {.application = "test",
		.command = "test_script",
		.host_name = "host",
		.target_name = "target",
		.secrets = true};
	const struct nvc_tcp_ends ends = {
		.address = {{192, 0, 2, 1}, {192, 0, 2, 2}}, .port = {50000, 4420}};
	const struct nvc_replay_options options = {.judge = NVC_JUDGE_BOTH};
	struct nvc_recorder *recorder = nvc_recorder_new(1 << 20);
	struct nvc_pcapng out;
	struct nvc_error err = {0};

	ck_assert_ptr_nonnull(recorder);
	nvc_recorder_opened(recorder, 1, &ends, 0);
	for (size_t i = 0; i < talk.num; i++)
		nvc_recorder_bytes(recorder, 1, talk.direction[i] == NVC_H2C,
			nvc_slice_of(talk.bytes + talk.start[i], talk.start[i + 1] - talk.start[i]),
			i * 1000);
	nvc_recorder_ended(recorder, 1, true, false, talk.num * 1000);
	nvc_recorder_ended(recorder, 1, false, false, talk.num * 1000);
	nvc_pcapng_init(&out, 1 << 22);
	ck_assert_int_eq(nvc_recorder_write(recorder, &about, &out), NVC_OK);
	nvc_recorder_free(recorder);
	ck_assert_msg(nvc_script_read(memory_file(nvc_slice_of(out.data, out.len)), &options,
			      &script, &err) == NVC_OK,
		"%s", err.text);
	nvc_pcapng_fini(&out);
}

static uint8_t *pdu(int index)
{
	return talk.bytes + talk.start[index];
}

/* The message of the Reply in the script. */
static const struct nvc_script_message *reply(void)
{
	for (size_t i = 0; i < script.num_steps; i++)
		if (script.steps[i].is_message && script.steps[i].message.id == NVC_MSG_REPLY)
			return &script.steps[i].message;
	ck_abort_msg("no Reply is in the script");
	return NULL;
}

START_TEST(ordinary)
{
	static const enum nvc_script_kind kinds[] = {NVC_SCRIPT_OPEN, NVC_SCRIPT_IC_REQ,
		NVC_SCRIPT_IC_RESP, NVC_SCRIPT_COMMAND, NVC_SCRIPT_ANSWER};
	const struct plan plan = {.two_way = true, .dhgid = NVC_DH_2048, .identify = true};

	converse(&talk, &plan);
	read_script();
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		ck_assert_int_eq(script.steps[script.order[i]].kind, kinds[i]);
	ck_assert_uint_eq(script.num_conns, 1);
	ck_assert(script.conns[0].connected);
	ck_assert_uint_eq(script.conns[0].cntlid, 0xf1);
	ck_assert_str_eq(script.subnqn, "nqn.2014-08.org.nvmexpress:conform");
	ck_assert_uint_eq(script.num_hosts, 1);
	ck_assert_str_eq(script.hosts[0].hostnqn, "nqn.2014-08.org.nvmexpress:host");
	ck_assert(script.hosts[0].two_way && script.hosts[0].authenticates);
	ck_assert_uint_eq(script.hosts[0].dhgroups, 1u << NVC_DH_2048);
	ck_assert_uint_eq(script.num_transactions, 1);
	ck_assert(script.transactions[0].has_success1 && !script.transactions[0].bent);
	/* Without Success2 a two-way authentication is not complete. */
	ck_assert(!script.transactions[0].complete);
	ck_assert(reply()->answers && reply()->mode == NVC_MODE_TWO_WAY);
	ck_assert_uint_eq(reply()->num_bends, 0);
	ck_assert_int_eq(reply()->r1, NVC_VALUE_ORDINARY);
	nvc_script_free(&script);
}
END_TEST

START_TEST(lines_leave_out_what_is_fresh)
{
	const struct plan plan = {.dhgid = NVC_DH_NULL};

	converse(&talk, &plan);
	read_script();
	for (size_t i = 0; i < script.num_steps; i++) {
		ck_assert_ptr_null(strstr(script.steps[i].text, "t_id="));
		ck_assert_ptr_null(strstr(script.steps[i].text, "cid="));
		ck_assert_ptr_null(strstr(script.steps[i].text, "rval="));
	}
	ck_assert_str_eq(script.steps[8].text,
		"DH-HMAC-CHAP_Challenge hl=32 hash_id=1 SHA-256 dhgid=0 NULL dhvlen=0");
	nvc_script_free(&script);
}
END_TEST

START_TEST(refused_is_wrong)
{
	const struct plan plan = {.refuse = true, .dhgid = NVC_DH_2048};

	converse(&talk, &plan);
	read_script();
	ck_assert_int_eq(reply()->r1, NVC_VALUE_WRONG);
	ck_assert(script.transactions[0].bent && script.transactions[0].has_failure1);
	nvc_script_free(&script);
}
END_TEST

START_TEST(bent_reply)
{
	const struct plan plan = {.dhgid = NVC_DH_NULL};

	converse(&talk, &plan);
	nvc_put_le(pdu(REPLY) + AT_T_ID, 0x1234 + 5, 2);
	pdu(REPLY)[AT_HL] = 48;
	pdu(REPLY)[AT_C2] = 1;
	read_script();
	ck_assert_int_eq(reply()->t_id, NVC_T_ID_OTHER);
	ck_assert_uint_eq(reply()->t_id_delta, 5);
	ck_assert_uint_eq(reply()->num_bends, 2);
	ck_assert_str_eq(reply()->bends[0].field, "hl");
	ck_assert_uint_eq(reply()->bends[0].value, 48);
	ck_assert_str_eq(reply()->bends[1].field, "cval");
	ck_assert(script.transactions[0].bent);
	nvc_script_free(&script);
}
END_TEST

START_TEST(special_values)
{
	const struct plan plan = {.two_way = true, .dhgid = NVC_DH_2048};
	enum { AT_DHVAL = AT_C2 + 32 };

	converse(&talk, &plan);
	memset(pdu(REPLY) + AT_C2, 0xc1, 32); /* C1 of the Challenge */
	memset(pdu(REPLY) + AT_DHVAL, 0, 256);
	pdu(REPLY)[AT_DHVAL + 255] = 1;
	read_script();
	ck_assert_int_eq(reply()->c2, NVC_VALUE_C1);
	ck_assert_int_eq(reply()->dhval, NVC_VALUE_ONE);
	ck_assert_uint_eq(reply()->num_bends, 0);
	nvc_script_free(&script);
}
END_TEST

START_TEST(strange_pdu)
{
	const struct plan plan = {.no_auth = true};

	converse(&talk, &plan);
	pdu(CONNECT)[2] = 64; /* HLEN of a capsule is 72 */
	read_script();
	ck_assert_int_eq(script.steps[3].kind, NVC_SCRIPT_PDU);
	ck_assert_uint_eq(script.steps[3].bytes.len, 72 + 1024);
	ck_assert(!script.conns[0].connected);
	nvc_script_free(&script);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("script");
	TCase *tcase = tcase_create("script");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_add_test(tcase, ordinary);
	tcase_add_test(tcase, lines_leave_out_what_is_fresh);
	tcase_add_test(tcase, refused_is_wrong);
	tcase_add_test(tcase, bent_reply);
	tcase_add_test(tcase, special_values);
	tcase_add_test(tcase, strange_pdu);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
