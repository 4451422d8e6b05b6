/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated world, faults, taps and generators. TLS: test_stream_tls.c; sockets: test_stream_server.c. */
#include <check.h>

#include "tests/unit/echo_service.h"

static struct nvc_sim *sim;

static void setup(void)
{
	sim = nvc_sim_new(1);
	ck_assert_ptr_nonnull(sim);
	world = nvc_sim_world(sim);
	echo = (struct echo){.env = nvc_sim_env(sim, "echo")};
	service = echo_service(&echo);
	ck_assert_int_eq(nvc_sim_listen(sim, 4420, &service), NVC_OK);
}

static void teardown(void)
{
	nvc_sim_free(sim);
	ck_assert_uint_eq(echo.num_accepted, echo.num_released);
	ck_assert_ptr_null(echo.conns);
}

static struct nvc_stream *connect_echo(void)
{
	const struct nvc_address to = {"192.0.2.1", "4420"};
	struct nvc_error err = {0};
	struct nvc_stream *s = NULL;

	ck_assert_int_eq(world.connect(world.self, &to, in_ms(1000), &s, &err), NVC_OK);
	ck_assert_ptr_nonnull(s);
	return s;
}

START_TEST(generator_repeats_for_seed_and_label)
{
	struct nvc_seeded *one = nvc_seeded_new(7, "host");
	struct nvc_seeded *same = nvc_seeded_new(7, "host");
	struct nvc_seeded *label = nvc_seeded_new(7, "target");
	struct nvc_seeded *seed = nvc_seeded_new(8, "host");
	uint8_t a[5000], b[5000], c[5000];

	nvc_seeded_random(one, a, sizeof(a));
	for (size_t i = 0; i < sizeof(b); i += 50)
		nvc_seeded_random(same, b + i, 50);
	ck_assert_mem_eq(a, b, sizeof(a));
	nvc_seeded_random(label, c, sizeof(c));
	ck_assert_mem_ne(a, c, 16);
	nvc_seeded_random(seed, c, sizeof(c));
	ck_assert_mem_ne(a, c, 16);
	ck_assert(!nvc_slice_is_zero(nvc_slice_of(a + 4984, 16)));
	nvc_seeded_free(one);
	nvc_seeded_free(same);
	nvc_seeded_free(label);
	nvc_seeded_free(seed);
	nvc_seeded_free(NULL);
}
END_TEST

/* Known answer, computed with Python's hashlib and `openssl enc -aes-256-ctr`: the seeds of recorded runs must not drift. */
START_TEST(generator_known_answer)
{
	struct nvc_seeded *seeded = nvc_seeded_new(1, "world");
	uint8_t bytes[16];
	char hex[33];

	nvc_seeded_random(seeded, bytes, sizeof(bytes));
	ck_assert_str_eq(
		nvc_hex(NVC_SLICE(bytes), hex, sizeof(hex)), "fee9cec0e4a7f7d4a40adfb6fc93d904");
	nvc_seeded_free(seeded);
}
END_TEST

START_TEST(worlds_draw_apart)
{
	struct nvc_env other = nvc_sim_env(sim, "other");
	struct nvc_sim *twin = nvc_sim_new(1);
	struct nvc_world twin_world = nvc_sim_world(twin);
	uint8_t a[32], b[32], c[32];

	nvc_env_random(&world.env, a, sizeof(a));
	nvc_env_random(&other, b, sizeof(b));
	nvc_env_random(&twin_world.env, c, sizeof(c));
	ck_assert_mem_ne(a, b, sizeof(a));
	ck_assert_mem_eq(a, c, sizeof(a));
	nvc_sim_free(twin);
}
END_TEST

START_TEST(echo_comes_back)
{
	struct nvc_stream *s = connect_echo();

	say(s, "hello");
	say(s, " world");
	hear(s, "hello world");
	ck_assert_int_eq(hear_nothing(s, 0), NVC_E_TIMEOUT);
	ck_assert_int_eq(s->end, NVC_END_OPEN);
	nvc_stream_free(s);
	ck_assert_int_eq(echo.last_end, NVC_END_FIN);
	ck_assert_uint_eq(echo.num_released, 1);
}
END_TEST

START_TEST(two_connections_do_not_mix)
{
	struct nvc_stream *a = connect_echo();
	struct nvc_stream *b = connect_echo();

	say(a, "one");
	say(b, "two");
	ck_assert_uint_eq(world.service_memory(world.self), 2 * sizeof(struct echo_conn));
	hear(b, "two");
	hear(a, "one");
	nvc_stream_free(a);
	say(b, "still");
	hear(b, "still");
	nvc_stream_free(b);
	ck_assert_uint_eq(world.service_memory(world.self), 0);
}
END_TEST

START_TEST(timers_move_the_clock)
{
	struct nvc_stream *a = connect_echo();
	struct nvc_stream *b = connect_echo();
	uint64_t start = nvc_env_now(&world.env);

	ck_assert_uint_eq(start, NVC_SEC(1));
	say(a, "T");
	hear(a, "T");
	ck_assert_uint_eq(nvc_env_now(&world.env), start);
	world.wait_until(world.self, start + NVC_SEC(2));
	ck_assert_uint_eq(nvc_env_now(&world.env), start + NVC_SEC(2));
	say(b, "T");
	hear(b, "T");
	ck_assert_int_eq(hear_nothing(a, 1000), NVC_E_TIMEOUT);
	ck_assert_uint_eq(nvc_env_now(&world.env), start + NVC_SEC(3));
	hear(b, "!");
	ck_assert_uint_eq(nvc_env_now(&world.env), start + NVC_SEC(7));
	hear(a, "!");
	ck_assert_uint_eq(nvc_env_now(&world.env), start + NVC_SEC(7));
	nvc_stream_free(a);
	nvc_stream_free(b);
}
END_TEST

static uint64_t overdue_timer(void *self)
{
	(void)self;
	return 1;
}

static void idle_tick(void *self, uint64_t now)
{
	(void)self;
	(void)now;
}

/* A service whose timer never advances must not stop the world. */
START_TEST(overdue_timer_does_not_hang)
{
	struct nvc_service stuck = service;

	stuck.next_timer = overdue_timer;
	stuck.tick = idle_tick;
	ck_assert_int_eq(nvc_sim_listen(sim, 4421, &stuck), NVC_OK);
	world.wait_until(world.self, NVC_SEC(3));
	ck_assert_uint_eq(nvc_env_now(&world.env), NVC_SEC(3));
	/* The listener outlives `stuck` otherwise. */
	nvc_sim_free(sim);
	sim = NULL;
}
END_TEST

START_TEST(service_ends_with_fin_after_its_bytes)
{
	struct nvc_stream *s = connect_echo();

	say(s, "byeF");
	say(s, "lost without a sound");
	hear(s, "byeF");
	ck_assert_int_eq(hear_nothing(s, 1000), NVC_E_CLOSED);
	ck_assert_int_eq(s->end, NVC_END_FIN);
	ck_assert_int_eq(hear_nothing(s, 1000), NVC_E_CLOSED);
	ck_assert_int_eq(nvc_stream_send(s, nvc_slice_str("x"), in_ms(1000)), NVC_E_CLOSED);
	ck_assert_uint_eq(echo.num_released, 1);
	nvc_stream_free(s);
	ck_assert_uint_eq(echo.num_released, 1);
}
END_TEST

START_TEST(service_resets)
{
	struct nvc_stream *s = connect_echo();

	say(s, "byeR");
	ck_assert_int_eq(hear_nothing(s, 1000), NVC_E_RESET);
	ck_assert_int_eq(s->end, NVC_END_RST);
	ck_assert_int_eq(nvc_stream_send(s, nvc_slice_str("x"), in_ms(1000)), NVC_E_RESET);
	nvc_stream_free(s);
}
END_TEST

START_TEST(host_resets)
{
	struct nvc_stream *s = connect_echo();

	say(s, "abc");
	nvc_stream_close(s, NVC_END_RST);
	nvc_stream_close(s, NVC_END_FIN);
	ck_assert_int_eq(echo.last_end, NVC_END_RST);
	ck_assert_uint_eq(echo.num_released, 1);
	ck_assert_int_eq(nvc_stream_send(s, nvc_slice_str("x"), in_ms(1000)), NVC_E_STATE);
	nvc_stream_free(s);
}
END_TEST

START_TEST(host_ends_and_reads_the_rest)
{
	struct nvc_stream *s = connect_echo();

	say(s, "abc");
	nvc_stream_close(s, NVC_END_FIN);
	ck_assert_int_eq(echo.last_end, NVC_END_FIN);
	hear(s, "abc");
	ck_assert_int_eq(hear_nothing(s, 1000), NVC_E_CLOSED);
	nvc_stream_free(s);
}
END_TEST

START_TEST(nobody_listens)
{
	const struct nvc_address to = {"192.0.2.1", "4999"};
	const struct nvc_address junk = {"192.0.2.1", ""};
	struct nvc_error err = {0};
	struct nvc_stream *s = NULL;

	ck_assert_int_eq(world.connect(world.self, &to, 0, &s, &err), NVC_E_REFUSED);
	ck_assert_ptr_null(s);
	ck_assert_ptr_nonnull(strstr(err.text, "192.0.2.1 port 4999"));
	ck_assert_int_eq(world.connect(world.self, &junk, 0, &s, NULL), NVC_E_INVALID);
	ck_assert_int_eq(nvc_sim_listen(sim, 4420, &service), NVC_E_INVALID);
}
END_TEST

START_TEST(service_turns_away)
{
	const struct nvc_address to = {"192.0.2.1", "7"};
	struct nvc_stream *s = NULL;

	ck_assert_int_eq(nvc_sim_listen(sim, ECHO_PORT_REFUSED, &service), NVC_OK);
	ck_assert_int_eq(world.connect(world.self, &to, 0, &s, NULL), NVC_OK);
	ck_assert_int_eq(hear_nothing(s, 1000), NVC_E_RESET);
	nvc_stream_free(s);
}
END_TEST

/* Streams may outlive their world. */
START_TEST(world_dies_first)
{
	struct nvc_stream *s = connect_echo();

	say(s, "abc");
	nvc_sim_free(sim);
	sim = NULL;
	ck_assert_uint_eq(echo.num_released, 1);
	nvc_stream_free(s);
}
END_TEST

/* ---- taps and faults ---- */

struct record {
	struct nvc_fifo sent, got;
	unsigned int num_sends, num_recvs;
	enum nvc_end own_end, peer_end;
	unsigned int num_ends, num_waits;
	uint64_t last_time;
	size_t longest;
};

static void record_bytes(void *self, bool h2c, struct nvc_slice bytes, uint64_t time)
{
	struct record *record = self;

	ck_assert(nvc_fifo_put(h2c ? &record->sent : &record->got, bytes));
	*(h2c ? &record->num_sends : &record->num_recvs) += 1;
	record->last_time = time;
	if (bytes.len > record->longest)
		record->longest = bytes.len;
}

static void record_end(void *self, bool h2c, enum nvc_end how, uint64_t time)
{
	struct record *record = self;

	*(h2c ? &record->own_end : &record->peer_end) = how;
	record->num_ends++;
	record->last_time = time;
}

static void record_wait(void *self, uint64_t time)
{
	struct record *record = self;

	record->num_waits++;
	record->last_time = time;
}

static struct nvc_tap tap_of(struct record *record)
{
	return (struct nvc_tap){record, record_bytes, record_end, record_wait};
}

static void expect_queue(struct nvc_fifo *queue, const char *text)
{
	ck_assert(nvc_slice_equal(nvc_fifo_peek(queue), nvc_slice_str(text)));
	nvc_fifo_fini(queue);
}

/* A fault over a tap over the world: the tap sees what the fault lets through. */
static struct nvc_stream *faulty(struct record *record, struct nvc_fault_plan plan)
{
	return nvc_fault_new(nvc_tap_new(connect_echo(), &world, tap_of(record)), &world, &plan);
}

/* Only a wait that brought nothing is one. */
START_TEST(taps_are_told_of_waits)
{
	struct record record = {0};
	struct nvc_stream *s = nvc_tap_new(connect_echo(), &world, tap_of(&record));

	say(s, "abc");
	hear(s, "abc");
	ck_assert_uint_eq(record.num_waits, 0);
	ck_assert_int_eq(hear_nothing(s, 1000), NVC_E_TIMEOUT);
	ck_assert_uint_eq(record.num_waits, 1);
	ck_assert_uint_ge(record.last_time, NVC_MS(1000));
	say(s, "F");
	hear(s, "F");
	ck_assert_int_eq(hear_nothing(s, 1000), NVC_E_CLOSED);
	ck_assert_uint_eq(record.num_waits, 1);
	nvc_stream_free(s);
	expect_queue(&record.sent, "abcF");
	expect_queue(&record.got, "abcF");
}
END_TEST

START_TEST(taps_see_everything_twice)
{
	struct record inner = {0}, outer = {0};
	struct nvc_stream *s = nvc_tap_new(connect_echo(), &world, tap_of(&inner));

	s = nvc_tap_new(s, &world, tap_of(&outer));
	say(s, "abc");
	hear(s, "abc");
	say(s, "dF");
	hear(s, "dF");
	ck_assert_int_eq(hear_nothing(s, 1000), NVC_E_CLOSED);
	ck_assert_int_eq(hear_nothing(s, 1000), NVC_E_CLOSED);
	nvc_stream_free(s);
	ck_assert_int_eq(inner.peer_end, NVC_END_FIN);
	ck_assert_int_eq(inner.own_end, NVC_END_FIN);
	ck_assert_uint_eq(inner.num_ends, 2);
	ck_assert_uint_eq(outer.num_ends, 2);
	ck_assert_uint_eq(outer.last_time, NVC_SEC(1));
	expect_queue(&inner.sent, "abcdF");
	expect_queue(&inner.got, "abcdF");
	expect_queue(&outer.sent, "abcdF");
	expect_queue(&outer.got, "abcdF");
}
END_TEST

START_TEST(fault_one_byte_segments)
{
	struct record record = {0};
	struct nvc_stream *s = faulty(&record, (struct nvc_fault_plan){.max_segment = 1});
	uint8_t big[16];
	size_t num = 0;

	say(s, "hello");
	ck_assert_int_eq(nvc_stream_recv(s, big, sizeof(big), in_ms(1000), &num), NVC_OK);
	ck_assert_uint_eq(num, 1);
	hear(s, "ello");
	ck_assert_uint_eq(record.num_sends, 5);
	ck_assert_uint_eq(record.num_recvs, 5);
	ck_assert_uint_eq(record.longest, 1);
	nvc_stream_free(s);
	expect_queue(&record.sent, "hello");
	expect_queue(&record.got, "hello");
}
END_TEST

START_TEST(fault_merged_segments)
{
	struct record record = {0};
	struct nvc_stream *s = faulty(&record, (struct nvc_fault_plan){.merge = true});

	say(s, "one");
	say(s, "two");
	ck_assert_uint_eq(record.num_sends, 0);
	hear(s, "onetwo");
	ck_assert_uint_eq(record.num_sends, 1);
	say(s, "late");
	nvc_stream_close(s, NVC_END_FIN);
	ck_assert_uint_eq(record.num_sends, 2);
	nvc_stream_free(s);
	expect_queue(&record.sent, "onetwolate");
	nvc_fifo_fini(&record.got);
}
END_TEST

START_TEST(fault_delay)
{
	struct record record = {0};
	struct nvc_stream *s = faulty(&record, (struct nvc_fault_plan){.delay = NVC_MS(300)});
	uint64_t start = nvc_env_now(&world.env);

	say(s, "a");
	say(s, "b");
	ck_assert_uint_eq(nvc_env_now(&world.env), start + NVC_MS(600));
	hear(s, "ab");
	ck_assert_int_eq(
		nvc_stream_send(s, nvc_slice_str("c"), start + NVC_MS(700)), NVC_E_TIMEOUT);
	ck_assert_uint_eq(nvc_env_now(&world.env), start + NVC_MS(700));
	nvc_stream_free(s);
	expect_queue(&record.sent, "ab");
	nvc_fifo_fini(&record.got);
}
END_TEST

static void cut_test(enum nvc_end how)
{
	struct record record = {0};
	struct nvc_stream *s =
		faulty(&record, (struct nvc_fault_plan){.cut_after = 5, .cut_end = how});

	say(s, "abc");
	ck_assert_int_eq(nvc_stream_send(s, nvc_slice_str("defg"), in_ms(1000)), NVC_E_CLOSED);
	ck_assert_int_eq(echo.last_end, how);
	ck_assert_int_eq(record.own_end, how);
	ck_assert_int_eq(nvc_stream_send(s, nvc_slice_str("h"), in_ms(1000)), NVC_E_CLOSED);
	ck_assert_int_eq(hear_nothing(s, 1000), NVC_E_CLOSED);
	nvc_stream_free(s);
	expect_queue(&record.sent, "abcde");
	nvc_fifo_fini(&record.got);
}

START_TEST(fault_cut_with_fin)
{
	cut_test(NVC_END_FIN);
}
END_TEST

START_TEST(fault_cut_with_rst)
{
	cut_test(NVC_END_RST);
}
END_TEST

START_TEST(ports)
{
	static const char *const bad[] = {
		"", "x", "-1", "+1", " 1", "1 ", "65536", "0000001", "1x"};
	uint16_t port = 0;

	ck_assert(nvc_port_parse("65535", &port) && port == 65535);
	ck_assert(nvc_port_parse("0", &port) && port == 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_msg(!nvc_port_parse(bad[i], &port), "%s", bad[i]);
}
END_TEST

START_TEST(names_of_ends)
{
	ck_assert_str_eq(nvc_end_name(NVC_END_OPEN), "open");
	ck_assert_str_eq(nvc_end_name(NVC_END_FIN), "FIN");
	ck_assert_str_eq(nvc_end_name(NVC_END_RST), "RST");
	ck_assert_str_eq(nvc_end_name(NVC_END_CLOSE_NOTIFY), "close_notify");
	ck_assert_str_eq(nvc_end_name(NVC_END_TLS_ALERT), "TLS alert");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stream");
	TCase *tc = tcase_create("sim");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, generator_repeats_for_seed_and_label);
	tcase_add_test(tc, generator_known_answer);
	tcase_add_test(tc, worlds_draw_apart);
	tcase_add_test(tc, echo_comes_back);
	tcase_add_test(tc, two_connections_do_not_mix);
	tcase_add_test(tc, timers_move_the_clock);
	tcase_add_test(tc, overdue_timer_does_not_hang);
	tcase_add_test(tc, service_ends_with_fin_after_its_bytes);
	tcase_add_test(tc, service_resets);
	tcase_add_test(tc, host_resets);
	tcase_add_test(tc, host_ends_and_reads_the_rest);
	tcase_add_test(tc, nobody_listens);
	tcase_add_test(tc, service_turns_away);
	tcase_add_test(tc, world_dies_first);
	tcase_add_test(tc, taps_are_told_of_waits);
	tcase_add_test(tc, taps_see_everything_twice);
	tcase_add_test(tc, fault_one_byte_segments);
	tcase_add_test(tc, fault_merged_segments);
	tcase_add_test(tc, fault_delay);
	tcase_add_test(tc, fault_cut_with_fin);
	tcase_add_test(tc, fault_cut_with_rst);
	tcase_add_test(tc, ports);
	tcase_add_test(tc, names_of_ends);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
