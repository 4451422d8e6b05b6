/* SPDX-License-Identifier: BSD-3-Clause */
/* A service behind real sockets: the server runs in a child, the tests are its clients over loopback. */
#include <check.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stream/server.h"
#include "tests/unit/echo_service.h"

static struct nvc_tls_psk psks[2];
static struct nvc_server *server;
static FILE *keylog;
static char port_text[8], refused_text[8];
static pid_t child;
static volatile int stop;

static void on_term(int number)
{
	(void)number;
	stop = 1;
}

static void fill_psk(struct nvc_tls_psk *psk, const char *identity, uint8_t hash_id)
{
	strcpy(psk->identity, identity);
	psk->hash_id = hash_id;
	psk->psk.len = hash_id == 1 ? 32 : 48;
	nvc_env_random(&world.env, psk->psk.data, psk->psk.len);
}

/* Serves until SIGTERM; the exit status tells whether every connection was released. */
static void serve(rlim_t max_fds)
{
	const struct rlimit limit = {max_fds, max_fds};
	struct nvc_error err = {0};
	bool ok;

	/* A test that fails leaves nothing behind. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(60);
	if (max_fds)
		setrlimit(RLIMIT_NOFILE, &limit);
	ok = nvc_server_run(server, &stop, &err) == NVC_OK;
	nvc_server_free(server);
	ok = ok && echo.num_accepted == echo.num_released && !echo.conns;
	fclose(keylog);
	exit(ok ? EXIT_SUCCESS : EXIT_FAILURE);
}

static void start(size_t max_connections, rlim_t max_fds)
{
	const struct nvc_address at = {"127.0.0.1", "0"};
	uint16_t port = 0, refused = 0;
	struct nvc_error err = {0};

	echo.env = nvc_env_system();
	echo.delay = NVC_MS(100);
	echo.psks = psks;
	echo.num_psks = 2;
	service = echo_service(&echo);
	server = nvc_server_new(&service, &echo.env, max_connections);
	keylog = tmpfile();
	nvc_server_keylog(server, fileno(keylog));
	ck_assert_int_eq(nvc_server_listen(server, &at, 4420, &port, &err), NVC_OK);
	ck_assert_int_eq(nvc_server_listen(server, &at, ECHO_PORT_REFUSED, &refused, &err), NVC_OK);
	snprintf(port_text, sizeof(port_text), "%u", port);
	snprintf(refused_text, sizeof(refused_text), "%u", refused);
	signal(SIGTERM, on_term);
	fflush(NULL);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		serve(max_fds);
	nvc_server_free(server);
}

static void setup(void)
{
	world = nvc_world_system(NULL);
	fill_psk(&psks[0], "NVMe1G01 host subsystem digest", 1);
	fill_psk(&psks[1], "NVMe1G02 host subsystem digest", 2);
	echo = (struct echo){.policy = NVC_TLS_PERMITTED};
	child = 0;
	server = NULL;
	keylog = NULL;
}

/* Stops the server by its own pid; a hang is ended by Check's time limit. */
static void stop_server(void)
{
	int status = 0;

	kill(child, SIGTERM);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	child = 0;
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), EXIT_SUCCESS);
	fclose(keylog);
}

static struct nvc_stream *connect_to(const char *port)
{
	const struct nvc_address to = {"127.0.0.1", port};
	struct nvc_error err = {0};
	struct nvc_stream *s = NULL;

	ck_assert_msg(
		world.connect(world.self, &to, in_ms(5000), &s, &err) == NVC_OK, "%s", err.text);
	return s;
}

static struct nvc_stream *secure(const struct nvc_tls_psk *psk)
{
	const struct nvc_tls_options options = {.psk = psk};
	struct nvc_error err = {0};
	struct nvc_stream *s = NULL;

	ck_assert_msg(nvc_tls_connect(connect_to(port_text), &world, &options, in_ms(5000), &s,
			      NULL, NULL, &err) == NVC_OK,
		"%s", err.text);
	return s;
}

START_TEST(echo_and_timer)
{
	static const uint8_t loopback[] = {127, 0, 0, 1};
	struct nvc_stream_ends ends;
	struct nvc_stream *s;

	start(8, 0);
	s = connect_to(port_text);
	ck_assert(nvc_stream_tcp_ends(s, &ends) && !ends.ipv6);
	ck_assert_mem_eq(ends.address[0], loopback, sizeof(loopback));
	ck_assert_mem_eq(ends.address[1], loopback, sizeof(loopback));
	ck_assert_int_eq(ends.port[1], atoi(port_text));
	ck_assert_uint_ne(ends.port[0], 0);
	say(s, "hello");
	hear(s, "hello");
	ck_assert_int_eq(hear_nothing(s, 50), NVC_E_TIMEOUT);
	say(s, "T");
	hear(s, "T!");
	nvc_stream_free(s);
	stop_server();
}
END_TEST

START_TEST(echo_over_tls)
{
	struct nvc_stream *s;
	char line[512];
	int num_secrets = 0;

	start(8, 0);
	s = secure(&psks[_i]);
	say(s, "hello");
	hear(s, "hello");
	ck_assert_int_eq(nvc_tls_key_update(s), NVC_OK);
	say(s, "new keysF");
	hear(s, "new keysF");
	ck_assert_int_eq(hear_nothing(s, 5000), NVC_E_CLOSED);
	ck_assert_int_eq(s->end, NVC_END_CLOSE_NOTIFY);
	nvc_stream_free(s);
	rewind(keylog);
	while (fgets(line, sizeof(line), keylog))
		num_secrets += strstr(line, "_TRAFFIC_SECRET_0 ") != NULL;
	ck_assert_int_eq(num_secrets, 2);
	stop_server();
}
END_TEST

START_TEST(wrong_psk_over_loopback)
{
	const struct nvc_tls_options options = {.psk = &psks[1]};
	struct nvc_stream *s = NULL;
	enum nvc_end end;
	uint8_t alert;

	start(8, 0);
	psks[1].psk.data[3] ^= 4;
	ck_assert_int_eq(nvc_tls_connect(connect_to(port_text), &world, &options, in_ms(5000), &s,
				 &end, &alert, NULL),
		NVC_E_TLS);
	ck_assert_int_eq(end, NVC_END_TLS_ALERT);
	ck_assert_msg(alert == 47 || alert == 51, "alert %u", alert); /* OpenSSL 3.0; 3.5 */
	stop_server();
}
END_TEST

START_TEST(silent_clients_block_nobody)
{
	struct nvc_stream *silent, *half, *s;

	start(8, 0);
	silent = connect_to(port_text);
	half = connect_to(port_text);
	say(half, "\x16\x03\x01");
	s = secure(&psks[0]);
	say(s, "hello");
	hear(s, "hello");
	nvc_stream_free(s);
	nvc_stream_free(silent);
	nvc_stream_free(half);
	stop_server();
}
END_TEST

/* Bytes that the service no longer reads must not turn its FIN into a reset. */
START_TEST(fin_stays_fin)
{
	static uint8_t more[100000];
	struct nvc_stream *s;

	start(8, 0);
	s = connect_to(port_text);
	say(s, "byeF");
	ck_assert_int_eq(nvc_stream_send(s, NVC_SLICE(more), in_ms(5000)), NVC_OK);
	hear(s, "byeF");
	/* What came in the same segment as "byeF" is echoed too. */
	for (;;) {
		uint8_t rest[4096];
		size_t num = 0;
		enum nvc_result result = nvc_stream_recv(s, rest, sizeof(rest), in_ms(5000), &num);

		if (result == NVC_OK)
			continue;
		ck_assert_int_eq(result, NVC_E_CLOSED);
		break;
	}
	ck_assert_int_eq(s->end, NVC_END_FIN);
	nvc_stream_free(s);
	stop_server();
}
END_TEST

START_TEST(resets_of_either_side)
{
	struct nvc_stream *s;
	uint8_t byte;
	size_t num = 0;

	start(8, 0);
	s = connect_to(port_text);
	say(s, "abc");
	hear(s, "abc");
	nvc_stream_close(s, NVC_END_RST);
	nvc_stream_free(s);
	s = connect_to(port_text);
	say(s, "R");
	/* The echo may or may not outrun the reset. */
	while (nvc_stream_recv(s, &byte, 1, in_ms(5000), &num) == NVC_OK)
		;
	ck_assert_int_eq(s->end, NVC_END_RST);
	ck_assert_int_eq(nvc_stream_send(s, nvc_slice_str("x"), in_ms(100)), NVC_E_RESET);
	ck_assert_int_eq(hear_nothing(s, 100), NVC_E_RESET);
	nvc_stream_free(s);
	stop_server();
}
END_TEST

/* The kernel accepts before the service can refuse: the reset comes during connect or right after. */
START_TEST(service_turns_away)
{
	const struct nvc_address to = {"127.0.0.1", refused_text};
	struct nvc_stream *s = NULL;
	enum nvc_result result;

	start(8, 0);
	result = world.connect(world.self, &to, in_ms(5000), &s, NULL);
	if (result == NVC_OK)
		result = hear_nothing(s, 5000);
	ck_assert_int_eq(result, NVC_E_RESET);
	nvc_stream_free(s);
	stop_server();
}
END_TEST

static void echo_much(struct nvc_stream *s)
{
	static uint8_t sent[65536], got[65536];

	for (int round = 0; round < 32; round++) {
		size_t len = 0;

		memset(sent, 'a' + round % 5, sizeof(sent));
		ck_assert_int_eq(nvc_stream_send(s, NVC_SLICE(sent), in_ms(5000)), NVC_OK);
		while (len < sizeof(got)) {
			size_t num = 0;

			ck_assert_int_eq(
				nvc_stream_recv(s, got + len, sizeof(got) - len, in_ms(5000), &num),
				NVC_OK);
			len += num;
		}
		ck_assert_mem_eq(sent, got, sizeof(sent));
	}
	nvc_stream_free(s);
}

START_TEST(much)
{
	start(8, 0);
	echo_much(connect_to(port_text));
	echo_much(secure(&psks[1]));
	stop_server();
}
END_TEST

/* A client that only sends is held back, and serves as the proof that others go on meanwhile. */
START_TEST(client_that_does_not_read)
{
	static uint8_t flood[65536];
	enum nvc_result result = NVC_OK;
	struct nvc_stream *deaf, *s;

	start(8, 0);
	deaf = connect_to(port_text);
	for (int i = 0; i < 1000 && result == NVC_OK; i++)
		result = nvc_stream_send(deaf, NVC_SLICE(flood), in_ms(300));
	ck_assert_int_eq(result, NVC_E_TIMEOUT);
	s = connect_to(port_text);
	say(s, "hello");
	hear(s, "hello");
	nvc_stream_free(s);
	nvc_stream_close(deaf, NVC_END_RST);
	nvc_stream_free(deaf);
	stop_server();
}
END_TEST

static void bound_test(size_t max_connections, rlim_t max_fds)
{
	struct nvc_stream *s[8];
	size_t num = max_connections == 2 ? 3 : 8;

	start(max_connections, max_fds);
	for (size_t i = 0; i < num; i++) {
		s[i] = connect_to(port_text);
		say(s[i], "hi");
	}
	hear(s[0], "hi");
	hear(s[1], "hi");
	ck_assert_int_eq(hear_nothing(s[num - 1], 300), NVC_E_TIMEOUT);
	for (size_t i = 0; i + 1 < num; i++)
		nvc_stream_free(s[i]);
	hear(s[num - 1], "hi");
	nvc_stream_free(s[num - 1]);
	stop_server();
}

START_TEST(more_than_max_connections)
{
	bound_test(2, 0);
}
END_TEST

START_TEST(out_of_descriptors)
{
	int next = dup(0);

	close(next);
	/* The key log, two listeners, then room for three or four. */
	bound_test(100, (rlim_t)next + 6);
}
END_TEST

static void expect_error(
	const char *host, const char *port, enum nvc_result expected, const char *text)
{
	const struct nvc_address to = {host, port};
	struct nvc_error err = {0};
	struct nvc_stream *s = NULL;

	ck_assert_int_eq(world.connect(world.self, &to, in_ms(300), &s, &err), expected);
	ck_assert_ptr_null(s);
	ck_assert_msg(strstr(err.text, text) != NULL, "%s", err.text);
}

START_TEST(connecting_fails)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct nvc_stream *fill[4] = {0};
	char port[8], text[64];

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	snprintf(port, sizeof(port), "%u", ntohs(at.sin_port));
	snprintf(text, sizeof(text), "127.0.0.1 port %s refused", port);
	expect_error("127.0.0.1", port, NVC_E_REFUSED, text);
	/* A queue that is full drops what comes: nobody answers. */
	ck_assert_int_eq(listen(fd, 0), 0);
	for (size_t i = 0; i < 4; i++) {
		const struct nvc_address to = {"127.0.0.1", port};

		if (world.connect(world.self, &to, in_ms(100), &fill[i], NULL) != NVC_OK)
			break;
	}
	expect_error("127.0.0.1", port, NVC_E_TIMEOUT, "did not answer in time");
	for (size_t i = 0; i < 4; i++)
		nvc_stream_free(fill[i]);
	close(fd);
	expect_error("127.0.0.1", "99999999", NVC_E_INVALID, "99999999");
	expect_error("127.0.0.1", "http", NVC_E_INVALID, "http");
}
END_TEST

START_TEST(listening_fails)
{
	const struct nvc_address at = {"127.0.0.1", "0"}, bad = {"127.0.0.1", "x"};
	struct nvc_env env = nvc_env_system();
	struct nvc_server *first, *second;
	struct nvc_error err = {0};
	struct nvc_address again = at;
	uint16_t port = 0;

	service = echo_service(&echo);
	first = nvc_server_new(&service, &env, 1);
	second = nvc_server_new(&service, &env, 1);
	ck_assert_int_eq(nvc_server_listen(first, &at, 0, &port, NULL), NVC_OK);
	snprintf(port_text, sizeof(port_text), "%u", port);
	again.port = port_text;
	ck_assert_int_eq(nvc_server_listen(second, &again, 0, NULL, &err), NVC_E_SYSTEM);
	ck_assert_ptr_nonnull(strstr(err.text, port_text));
	ck_assert_int_eq(nvc_server_listen(second, &bad, 0, NULL, NULL), NVC_E_INVALID);
	nvc_server_free(first);
	nvc_server_free(second);
}
END_TEST

START_TEST(system_world_draws_from_a_seed)
{
	struct nvc_seeded *a = nvc_seeded_new(3, "run"), *b = nvc_seeded_new(3, "run");
	struct nvc_world seeded = nvc_world_system(a);
	uint8_t x[16], y[16];
	uint64_t before = nvc_env_now(&world.env);

	nvc_env_random(&seeded.env, x, sizeof(x));
	nvc_seeded_random(b, y, sizeof(y));
	ck_assert_mem_eq(x, y, sizeof(x));
	nvc_env_random(&world.env, y, sizeof(y));
	ck_assert_mem_ne(x, y, sizeof(x));
	world.wait_until(world.self, before + NVC_MS(20));
	ck_assert_uint_ge(nvc_env_now(&world.env), before + NVC_MS(20));
	ck_assert_uint_eq(world.service_memory(world.self), 0);
	nvc_seeded_free(a);
	nvc_seeded_free(b);
}
END_TEST

/* valgrind has a limit of descriptors of its own. */
static bool under_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "valgrind");
}

int main(void)
{
	Suite *suite = suite_create("stream_server");
	TCase *tc = tcase_create("server");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, echo_and_timer);
	tcase_add_loop_test(tc, echo_over_tls, 0, 2);
	tcase_add_test(tc, wrong_psk_over_loopback);
	tcase_add_test(tc, silent_clients_block_nobody);
	tcase_add_test(tc, fin_stays_fin);
	tcase_add_test(tc, resets_of_either_side);
	tcase_add_test(tc, service_turns_away);
	tcase_add_test(tc, much);
	tcase_add_test(tc, client_that_does_not_read);
	tcase_add_test(tc, more_than_max_connections);
	if (!under_valgrind())
		tcase_add_test(tc, out_of_descriptors);
	tcase_add_test(tc, connecting_fails);
	tcase_add_test(tc, listening_fails);
	tcase_add_test(tc, system_world_draws_from_a_seed);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
