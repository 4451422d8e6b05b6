/* SPDX-License-Identifier: BSD-3-Clause */
/* What a TLS client can do out of the ordinary: records of any length, early data, a ClientHello by hand. */
#include "stream/tls_hello.h"
#include "tests/unit/tls_stage.h"

/* Counts records of application data (type 23) by the length of their plain text. */
struct records {
	unsigned int of_len[NVC_TLS_RECORD_MAX + 1];
	unsigned int num;
};

static void count_records(void *self, bool h2c, struct nvc_slice bytes, uint64_t time)
{
	enum { HEADER = 5, OVERHEAD = 17 }; /* content type and tag (RFC 8446, 5.2) */
	struct records *records = self;

	(void)time;
	for (size_t pos = 0; h2c && pos + HEADER <= bytes.len;) {
		size_t len = (size_t)(bytes.data[pos + 3] << 8 | bytes.data[pos + 4]);

		if (bytes.data[pos] == 23 && len >= OVERHEAD) {
			records->of_len[len - OVERHEAD]++;
			records->num++;
		}
		pos += HEADER + len;
	}
}

static void ignore_end(void *self, bool h2c, enum nvc_end how, uint64_t time)
{
	(void)self;
	(void)h2c;
	(void)how;
	(void)time;
}

static void send_and_hear(struct nvc_stream *s, uint8_t *bytes, size_t size)
{
	size_t len = 0, num;

	ck_assert_int_eq(nvc_stream_send(s, nvc_slice_of(bytes, size), in_ms(1000)), NVC_OK);
	for (; len < size; len += num) {
		num = 0;
		ck_assert_int_eq(
			nvc_stream_recv(s, bytes + len, size - len, in_ms(1000), &num), NVC_OK);
	}
}

START_TEST(records_of_a_length)
{
	static const size_t lens[] = {1, 2, 100, 16384};
	static uint8_t bytes[40000], sent[40000];
	static struct records records;
	const struct nvc_tap tap = {&records, count_records, ignore_end, NULL};
	struct outcome outcome = connect_over(nvc_tap_new(connect_plain(), &world, tap),
		(struct nvc_tls_options){.psk = &psks[0], .record_len = lens[_i]});

	ck_assert_int_eq(outcome.result, NVC_OK);
	memset(bytes, 'a', sizeof(bytes));
	memset(sent, 'a', sizeof(sent));
	memset(&records, 0, sizeof(records));
	send_and_hear(outcome.s, bytes, sizeof(bytes));
	ck_assert_mem_eq(bytes, sent, sizeof(sent));
	ck_assert_uint_eq(records.of_len[lens[_i]], sizeof(bytes) / lens[_i]);
	ck_assert_uint_eq(records.num, (sizeof(bytes) + lens[_i] - 1) / lens[_i]);
	nvc_stream_free(outcome.s);
}
END_TEST

START_TEST(records_of_mixed_lengths)
{
	static uint8_t bytes[60000];
	static struct records records;
	const struct nvc_tap tap = {&records, count_records, ignore_end, NULL};
	struct outcome outcome = connect_over(nvc_tap_new(connect_plain(), &world, tap),
		(struct nvc_tls_options){.psk = &psks[1], .record_len = NVC_RECORDS_MIXED});

	ck_assert_int_eq(outcome.result, NVC_OK);
	memset(bytes, 'a', sizeof(bytes));
	memset(&records, 0, sizeof(records));
	send_and_hear(outcome.s, bytes, sizeof(bytes));
	ck_assert_uint_ge(records.of_len[1], 1);
	ck_assert_uint_ge(records.of_len[2], 1);
	ck_assert_uint_ge(records.of_len[6765], 1);
	ck_assert_uint_ge(records.of_len[16384], 1);
	nvc_stream_free(outcome.s);
}
END_TEST

/* Empty records and a close_notify, all sealed by ourselves, are what the server's OpenSSL opens. */
START_TEST(empty_records)
{
	static uint8_t bytes[20000], sent[20000];
	static struct records records;
	const struct nvc_tap tap = {&records, count_records, ignore_end, NULL};
	struct outcome outcome = connect_over(nvc_tap_new(connect_plain(), &world, tap),
		(struct nvc_tls_options){
			.psk = &psks[_i], .empty_records = true, .record_len = 1000});

	ck_assert_int_eq(outcome.result, NVC_OK);
	memset(bytes, 'a', sizeof(bytes));
	memset(sent, 'a', sizeof(sent));
	memset(&records, 0, sizeof(records));
	send_and_hear(outcome.s, bytes, sizeof(bytes));
	ck_assert_mem_eq(bytes, sent, sizeof(sent));
	ck_assert_uint_eq(records.of_len[0], 20);
	ck_assert_uint_eq(records.of_len[1000], 20);
	ck_assert_int_eq(nvc_tls_key_update(outcome.s), NVC_E_STATE);
	nvc_stream_free(outcome.s);
	ck_assert_int_eq(echo.last_end, NVC_END_CLOSE_NOTIFY);
}
END_TEST

START_TEST(no_close_notify)
{
	struct nvc_stream *s = secure((struct nvc_tls_options){.psk = &psks[_i]});

	say(s, "x");
	hear(s, "x");
	nvc_tls_leave_out_close_notify(s);
	nvc_stream_free(s);
	ck_assert_int_eq(echo.last_end, NVC_END_FIN);
}
END_TEST

START_TEST(identity_with_a_nul)
{
	expect_refused(connect_tls((struct nvc_tls_options){.psk = &psks[_i], .nul = true}), 115);
	echo.oddities.nul_identities = true;
	nvc_stream_free(secure((struct nvc_tls_options){.psk = &psks[_i], .nul = true}));
	nvc_stream_free(secure((struct nvc_tls_options){.psk = &psks[_i]}));
	ck_assert_str_eq(echo.identity, psks[_i].identity);
}
END_TEST

START_TEST(early_data)
{
	struct nvc_stream *s = secure((struct nvc_tls_options){
		.psk = &psks[_i], .early_data = nvc_slice_str("too early")});

	ck_assert(!nvc_tls_early_data_accepted(s));
	say(s, "x");
	hear(s, "x");
	ck_assert_int_eq(hear_nothing(s, 1000), NVC_E_TIMEOUT);
	nvc_stream_free(s);
	echo.oddities.early_data = true;
	s = secure(
		(struct nvc_tls_options){.psk = &psks[_i], .early_data = nvc_slice_str("early")});
	ck_assert(nvc_tls_early_data_accepted(s));
	hear(s, "early");
	nvc_stream_free(s);
	s = secure((struct nvc_tls_options){.psk = &psks[_i]});
	say(s, "x");
	hear(s, "x");
	nvc_stream_free(s);
}
END_TEST

static struct nvc_tls_hello_answer answer_to(const struct nvc_tls_hello *hello)
{
	struct nvc_tls_hello_answer answer = {0};
	struct outcome outcome =
		connect_tls((struct nvc_tls_options){.hello = hello, .hello_answer = &answer});

	ck_assert_msg(outcome.result == NVC_E_STATE, "%s", outcome.err.text);
	return answer;
}

/* OpenSSL takes the binders, so they are right. */
START_TEST(hello_by_hand)
{
	const struct nvc_tls_hello hello = {
		.psks = {&psks[_i]}, .num_psks = 1, .psk_ke = true, .psk_dhe_ke = true};
	struct nvc_tls_hello_answer answer = answer_to(&hello);

	ck_assert(answer.accepted && answer.key_share && !answer.retry);
	ck_assert_uint_eq(answer.selected, 0);
	ck_assert_uint_eq(answer.suite, _i == 1 ? 0x1302 : 0x1301);
}
END_TEST

START_TEST(hello_with_a_wrong_binder)
{
	struct nvc_tls_psk wrong = psks[_i];
	const struct nvc_tls_hello hello = {.psks = {&wrong}, .num_psks = 1, .psk_dhe_ke = true};
	struct nvc_tls_hello_answer answer;

	wrong.psk.data[0] ^= 1;
	answer = answer_to(&hello);
	ck_assert(!answer.accepted);
	ck_assert_int_eq(answer.end, NVC_END_TLS_ALERT);
}
END_TEST

START_TEST(hello_with_psk_ke_alone)
{
	const struct nvc_tls_hello hello = {.psks = {&psks[_i]}, .num_psks = 1, .psk_ke = true};
	struct nvc_tls_hello_answer answer = answer_to(&hello);

	ck_assert(!answer.accepted && answer.end == NVC_END_TLS_ALERT);
	echo.oddities.psk_ke = true;
	answer = answer_to(&hello);
	ck_assert(answer.accepted && !answer.key_share);
}
END_TEST

START_TEST(hello_with_two_identities)
{
	struct nvc_tls_psk unknown = psks[0];
	struct nvc_tls_hello hello = {
		.psks = {&psks[_i], &psks[1 - _i]}, .num_psks = 2, .psk_dhe_ke = true};
	struct nvc_tls_hello_answer answer = answer_to(&hello);

	ck_assert(answer.accepted);
	ck_assert_uint_eq(
		answer.suite, hello.psks[answer.selected]->hash_id == 1 ? 0x1301 : 0x1302);
	unknown.identity[0] = '?';
	hello.psks[0] = &unknown;
	answer = answer_to(&hello);
	ck_assert(answer.accepted);
	ck_assert_uint_eq(answer.selected, 1);
}
END_TEST

START_TEST(hello_to_a_plain_port)
{
	struct nvc_tls_hello hello = {.psks = {&psks[0]}, .num_psks = 1, .psk_dhe_ke = true};
	struct nvc_tls_hello_answer answer = {0};

	echo.policy = NVC_TLS_NONE;
	answer = answer_to(&hello);
	ck_assert(!answer.accepted && answer.end == NVC_END_FIN);
	hello.num_psks = 0;
	ck_assert_int_eq(
		connect_tls((struct nvc_tls_options){.hello = &hello, .hello_answer = &answer})
			.result,
		NVC_E_INVALID);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stream_tls_offers");
	TCase *tc = tcase_create("offers");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, records_of_a_length, 0, 4);
	tcase_add_test(tc, records_of_mixed_lengths);
	tcase_add_loop_test(tc, empty_records, 0, 2);
	tcase_add_loop_test(tc, no_close_notify, 0, 2);
	tcase_add_loop_test(tc, identity_with_a_nul, 0, 2);
	tcase_add_loop_test(tc, early_data, 0, 2);
	tcase_add_loop_test(tc, hello_by_hand, 0, 3);
	tcase_add_loop_test(tc, hello_with_a_wrong_binder, 0, 2);
	tcase_add_loop_test(tc, hello_with_psk_ke_alone, 0, 2);
	tcase_add_loop_test(tc, hello_with_two_identities, 0, 2);
	tcase_add_test(tc, hello_to_a_plain_port);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
