/* SPDX-License-Identifier: BSD-3-Clause */
/* TLS 1.3 with a PSK over the simulated world, both roles. */
#include <check.h>

#include "tests/unit/bend_stream.h"
#include "tests/unit/tls_stage.h"

START_TEST(echo_under_each_suite)
{
	const struct nvc_tls_psk *psk = &psks[_i];
	struct nvc_stream *s = secure((struct nvc_tls_options){.psk = psk});

	say(s, "hello");
	hear(s, "hello");
	ck_assert_uint_eq(echo.suite, psk->hash_id == 1 ? 0x1301 : 0x1302);
	ck_assert_str_eq(echo.identity, psk->identity);
	ck_assert_int_eq(hear_nothing(s, 1000), NVC_E_TIMEOUT);
	nvc_stream_free(s);
	ck_assert_int_eq(echo.last_end, NVC_END_CLOSE_NOTIFY);
}
END_TEST

/* The order of the client's suites must not lose the PSK of the other hash. */
START_TEST(both_suites_offered)
{
	static const char *const orders[] = {
		"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384",
		"TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256",
	};
	const struct nvc_tls_psk *psk = &psks[_i / 2];
	struct nvc_stream *s =
		secure((struct nvc_tls_options){.psk = psk, .ciphersuites = orders[_i % 2]});

	say(s, "x");
	hear(s, "x");
	ck_assert_uint_eq(echo.suite, psk->hash_id == 1 ? 0x1301 : 0x1302);
	nvc_stream_free(s);
}
END_TEST

START_TEST(each_group)
{
	static const char *const groups[] = {
		"X25519", "P-256", "P-384", "P-521", "X448", "ffdhe2048", "ffdhe3072"};
	struct nvc_stream *s =
		secure((struct nvc_tls_options){.psk = &psks[_i % 2], .groups = groups[_i]});

	say(s, "x");
	hear(s, "x");
	nvc_stream_free(s);
}
END_TEST

START_TEST(hello_retry_request)
{
	/* The key share is of the first group, which the server does not have. */
	struct nvc_stream *s =
		secure((struct nvc_tls_options){.psk = &psks[_i], .groups = "ffdhe6144:P-384"});

	say(s, "x");
	hear(s, "x");
	ck_assert_uint_eq(echo.num_secured, 1);
	nvc_stream_free(s);
}
END_TEST

START_TEST(wrong_psk)
{
	struct nvc_tls_psk wrong = psks[_i];

	wrong.psk.data[0] ^= 1;
	expect_refused(connect_tls((struct nvc_tls_options){.psk = &wrong}), BAD_BINDER);
	ck_assert_uint_eq(echo.num_released, 1);
}
END_TEST

START_TEST(unknown_identity)
{
	struct nvc_tls_psk unknown = psks[0];

	unknown.identity[strlen(unknown.identity) - 1] = '\0';
	expect_refused(connect_tls((struct nvc_tls_options){.psk = &unknown}), 115);
}
END_TEST

START_TEST(wrong_hash)
{
	struct nvc_tls_psk wrong = psks[0];

	wrong.hash_id = 2;
	expect_refused(connect_tls((struct nvc_tls_options){.psk = &wrong}), 115);
}
END_TEST

START_TEST(no_psk)
{
	expect_refused(connect_tls((struct nvc_tls_options){.psk = NULL}), 40);
}
END_TEST

START_TEST(tls12)
{
	expect_refused(connect_tls((struct nvc_tls_options){.tls12_only = true}), 70);
}
END_TEST

START_TEST(options_that_cannot_be)
{
	struct nvc_tls_psk sha512 = psks[0];
	struct outcome outcome;

	outcome = connect_tls((struct nvc_tls_options){.psk = &psks[0], .record_len = 16385});
	ck_assert_int_eq(outcome.result, NVC_E_INVALID);
	outcome =
		connect_tls((struct nvc_tls_options){.psk = &psks[0], .ciphersuites = "nonsense"});
	ck_assert_int_eq(outcome.result, NVC_E_INVALID);
	outcome = connect_tls((struct nvc_tls_options){.psk = &psks[0], .groups = "nonsense"});
	ck_assert_int_eq(outcome.result, NVC_E_INVALID);
	sha512.hash_id = 3;
	outcome = connect_tls((struct nvc_tls_options){.psk = &sha512});
	ck_assert_int_eq(outcome.result, NVC_E_INVALID);
}
END_TEST

START_TEST(tls_to_a_plain_port)
{
	struct outcome outcome;

	echo.policy = NVC_TLS_NONE;
	outcome = connect_tls((struct nvc_tls_options){.psk = &psks[0]});
	ck_assert_int_eq(outcome.result, NVC_E_CLOSED);
	ck_assert_int_eq(outcome.end, NVC_END_FIN);
	ck_assert_uint_eq(echo.num_released, 1);
}
END_TEST

START_TEST(plain_to_a_tls_port)
{
	struct nvc_stream *s;

	echo.policy = NVC_TLS_REQUIRED;
	s = connect_plain();
	say(s, "abc");
	ck_assert_int_eq(hear_nothing(s, 1000), NVC_E_CLOSED);
	ck_assert_int_eq(s->end, NVC_END_FIN);
	ck_assert_uint_eq(echo.num_released, 1);
	nvc_stream_free(s);
}
END_TEST

START_TEST(either_on_a_permissive_port)
{
	struct nvc_stream *plain = connect_plain();
	struct nvc_stream *tls = secure((struct nvc_tls_options){.psk = &psks[1]});

	say(plain, "plain");
	say(tls, "tls");
	hear(plain, "plain");
	hear(tls, "tls");
	nvc_stream_free(plain);
	nvc_stream_free(tls);
}
END_TEST

START_TEST(garbage_for_a_server)
{
	struct nvc_stream *s = connect_plain();

	say(s, "\x16garbage that is no record");
	ck_assert_int_eq(hear_nothing(s, 1000), NVC_E_CLOSED);
	ck_assert_int_eq(s->end, NVC_END_FIN);
	ck_assert_uint_eq(echo.num_released, 1);
	nvc_stream_free(s);
}
END_TEST

START_TEST(garbage_in_a_record_for_a_server)
{
	static const uint8_t record[] = {0x16, 3, 1, 0, 5, 'h', 'e', 'l', 'l', 'o'};
	struct nvc_stream *s = connect_plain();
	uint8_t alert[7];
	size_t num = 0;

	ck_assert_int_eq(nvc_stream_send(s, NVC_SLICE(record), in_ms(1000)), NVC_OK);
	ck_assert_int_eq(nvc_stream_recv(s, alert, sizeof(alert), in_ms(1000), &num), NVC_OK);
	ck_assert_uint_eq(num, 7);
	ck_assert_uint_eq(alert[0], 21);
	ck_assert_uint_eq(alert[5], 2);
	ck_assert_int_eq(hear_nothing(s, 1000), NVC_E_CLOSED);
	ck_assert_int_eq(s->end, NVC_END_FIN);
	nvc_stream_free(s);
}
END_TEST

/* A server that answers a ClientHello with its echo is no TLS server. */
START_TEST(garbage_for_a_client)
{
	struct nvc_service plain = service;
	const struct nvc_address to = {"192.0.2.1", "4421"};
	struct nvc_stream *lower = NULL;
	struct outcome outcome;

	plain.tls = NULL;
	echo.policy = NVC_TLS_NONE;
	ck_assert_int_eq(nvc_sim_listen(sim, 4421, &plain), NVC_OK);
	ck_assert_int_eq(world.connect(world.self, &to, 0, &lower, NULL), NVC_OK);
	say(lower, "a");
	outcome = connect_over(lower, (struct nvc_tls_options){.psk = &psks[0]});
	ck_assert_int_eq(outcome.result, NVC_E_TLS);
	ck_assert_int_eq(outcome.end, NVC_END_OPEN);
	ck_assert_uint_eq(outcome.alert, 0);
	nvc_sim_free(sim);
	sim = NULL;
}
END_TEST

START_TEST(cut_in_the_client_hello)
{
	const struct nvc_fault_plan cut = {.cut_after = 50, .cut_end = NVC_END_FIN};
	struct outcome outcome = connect_over(nvc_fault_new(connect_plain(), &world, &cut),
		(struct nvc_tls_options){.psk = &psks[0]});

	ck_assert_int_eq(outcome.result, NVC_E_CLOSED);
	ck_assert_int_eq(echo.last_end, NVC_END_FIN);
	ck_assert_uint_eq(echo.num_released, 1);
}
END_TEST

START_TEST(server_ends_with_close_notify)
{
	struct nvc_stream *s = secure((struct nvc_tls_options){.psk = &psks[0]});

	say(s, "byeF");
	hear(s, "byeF");
	ck_assert_int_eq(hear_nothing(s, 1000), NVC_E_CLOSED);
	ck_assert_int_eq(s->end, NVC_END_CLOSE_NOTIFY);
	nvc_stream_free(s);
}
END_TEST

START_TEST(server_resets)
{
	struct nvc_stream *s = secure((struct nvc_tls_options){.psk = &psks[0]});

	say(s, "byeR");
	ck_assert_int_eq(hear_nothing(s, 1000), NVC_E_RESET);
	ck_assert_int_eq(s->end, NVC_END_RST);
	nvc_stream_free(s);
}
END_TEST

START_TEST(client_resets)
{
	struct nvc_stream *s = secure((struct nvc_tls_options){.psk = &psks[0]});

	nvc_stream_close(s, NVC_END_RST);
	ck_assert_int_eq(echo.last_end, NVC_END_RST);
	nvc_stream_free(s);
}
END_TEST

static struct nvc_stream *secure_over(struct bend *bend)
{
	struct outcome outcome;

	*bend = (struct bend){.base = {.ops = &bend_ops}, .lower = connect_plain()};
	outcome = connect_over(&bend->base, (struct nvc_tls_options){.psk = &psks[0]});
	ck_assert_int_eq(outcome.result, NVC_OK);
	say(outcome.s, "x");
	hear(outcome.s, "x");
	return outcome.s;
}

/* The ClientHello never arrives: the client's own bound ends the wait. */
START_TEST(silent_server)
{
	struct bend bend = {.base = {.ops = &bend_ops}, .lower = connect_plain(), .swallow = true};
	uint64_t start = nvc_env_now(&world.env);
	struct outcome outcome =
		connect_over(&bend.base, (struct nvc_tls_options){.psk = &psks[0]});

	ck_assert_int_eq(outcome.result, NVC_E_TIMEOUT);
	ck_assert_int_eq(outcome.end, NVC_END_OPEN);
	ck_assert_uint_eq(nvc_env_now(&world.env), start + NVC_SEC(5));
}
END_TEST

START_TEST(bare_fin)
{
	struct bend bend;
	struct nvc_stream *s = secure_over(&bend);

	bend.fin_next_recv = true;
	ck_assert_int_eq(hear_nothing(s, 1000), NVC_E_CLOSED);
	ck_assert_int_eq(s->end, NVC_END_FIN);
	nvc_stream_free(s);
}
END_TEST

START_TEST(client_gets_a_bad_record)
{
	struct bend bend;
	struct nvc_stream *s = secure_over(&bend);

	say(s, "y");
	bend.flip_next_recv = true;
	ck_assert_int_eq(hear_nothing(s, 1000), NVC_E_TLS);
	ck_assert_int_eq(s->end, NVC_END_OPEN);
	ck_assert_int_eq(echo.last_end, NVC_END_TLS_ALERT);
	ck_assert_int_eq(hear_nothing(s, 1000), NVC_E_TLS);
	ck_assert_int_eq(nvc_stream_send(s, nvc_slice_str("z"), in_ms(1000)), NVC_E_TLS);
	nvc_stream_free(s);
}
END_TEST

START_TEST(server_gets_a_bad_record)
{
	struct bend bend;
	struct nvc_stream *s = secure_over(&bend);

	bend.flip_next_send = true;
	say(s, "y");
	ck_assert_int_eq(hear_nothing(s, 1000), NVC_E_TLS);
	ck_assert_int_eq(s->end, NVC_END_TLS_ALERT);
	ck_assert_uint_eq(s->alert, 20);
	nvc_stream_free(s);
}
END_TEST

/* The second of two identities is found: its (spoilt) binder is what the server complains of, not the unknown first one. */
START_TEST(second_identity)
{
	struct bend bend = {.base = {.ops = &bend_ops}, .lower = connect_plain(), .prepend = true};

	expect_refused(
		connect_over(&bend.base, (struct nvc_tls_options){.psk = &psks[_i]}), BAD_BINDER);
	bend = (struct bend){.base = {.ops = &bend_ops}, .lower = connect_plain(), .prepend = true};
	echo.num_psks = 0;
	expect_refused(connect_over(&bend.base, (struct nvc_tls_options){.psk = &psks[_i]}), 115);
}
END_TEST

START_TEST(key_updates)
{
	struct nvc_stream *s = secure((struct nvc_tls_options){.psk = &psks[_i]});
	struct nvc_stream *plain = connect_plain();

	for (int round = 0; round < 3; round++) {
		say(s, "before");
		hear(s, "before");
		ck_assert_int_eq(nvc_tls_key_update(s), NVC_OK);
		say(s, "after");
		hear(s, "after");
	}
	ck_assert_int_eq(nvc_tls_key_update(plain), NVC_E_STATE);
	nvc_stream_free(plain);
	nvc_stream_free(s);
}
END_TEST

/* Lines of the key log, counted by label. */
static void count_keylog(void *self, const char *line)
{
	unsigned int *counts = self;

	counts[0] += strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24) == 0;
	counts[1] += strncmp(line, "SERVER_TRAFFIC_SECRET_0 ", 24) == 0;
	counts[2] += strncmp(line, "CLIENT_HANDSHAKE_TRAFFIC_SECRET ", 32) == 0;
}

START_TEST(key_log)
{
	unsigned int counts[3] = {0};
	struct nvc_stream *s = secure((struct nvc_tls_options){
		.psk = &psks[0], .keylog = count_keylog, .keylog_self = counts});

	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(counts[i], 1);
	nvc_stream_free(s);
}
END_TEST

START_TEST(large_and_dribbled)
{
	const struct nvc_fault_plan dribble = {.max_segment = 1};
	static uint8_t sent[70000], got[70000];
	struct outcome outcome = connect_over(nvc_fault_new(connect_plain(), &world, &dribble),
		(struct nvc_tls_options){.psk = &psks[1]});
	size_t len = 0;

	ck_assert_int_eq(outcome.result, NVC_OK);
	memset(sent, 'a', sizeof(sent));
	ck_assert_int_eq(nvc_stream_send(outcome.s, NVC_SLICE(sent), in_ms(1000)), NVC_OK);
	while (len < sizeof(got)) {
		size_t num = 0;

		ck_assert_int_eq(
			nvc_stream_recv(outcome.s, got + len, sizeof(got) - len, in_ms(1000), &num),
			NVC_OK);
		len += num;
	}
	ck_assert_mem_eq(sent, got, sizeof(sent));
	nvc_stream_free(outcome.s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stream_tls");
	TCase *tc = tcase_create("tls");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, echo_under_each_suite, 0, 3);
	tcase_add_loop_test(tc, both_suites_offered, 0, 4);
	tcase_add_loop_test(tc, each_group, 0, 7);
	tcase_add_loop_test(tc, hello_retry_request, 0, 2);
	tcase_add_loop_test(tc, wrong_psk, 0, 2);
	tcase_add_test(tc, unknown_identity);
	tcase_add_test(tc, wrong_hash);
	tcase_add_test(tc, no_psk);
	tcase_add_test(tc, tls12);
	tcase_add_test(tc, options_that_cannot_be);
	tcase_add_test(tc, tls_to_a_plain_port);
	tcase_add_test(tc, plain_to_a_tls_port);
	tcase_add_test(tc, either_on_a_permissive_port);
	tcase_add_test(tc, garbage_for_a_server);
	tcase_add_test(tc, garbage_in_a_record_for_a_server);
	tcase_add_test(tc, garbage_for_a_client);
	tcase_add_test(tc, cut_in_the_client_hello);
	tcase_add_test(tc, server_ends_with_close_notify);
	tcase_add_test(tc, server_resets);
	tcase_add_test(tc, client_resets);
	tcase_add_test(tc, silent_server);
	tcase_add_test(tc, bare_fin);
	tcase_add_test(tc, client_gets_a_bad_record);
	tcase_add_test(tc, server_gets_a_bad_record);
	tcase_add_loop_test(tc, second_identity, 0, 2);
	tcase_add_loop_test(tc, key_updates, 0, 2);
	tcase_add_test(tc, key_log);
	tcase_add_test(tc, large_and_dribbled);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
