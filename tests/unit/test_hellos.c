/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hellos and binders as OpenSSL makes them, with and without a HelloRetryRequest, for both hashes: what a passive reader finds in
 * them, and that one changed byte of what a binder covers, or another PSK, is noticed.
 */
#include <check.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "capture/tls13.h"
#include "crypto/hash.h"
#include "wire/auth.h"

enum { MAX_FLIGHTS = 4, FLIGHT_SIZE = 2048, MAX_PSK = 48 };

#define IDENTITY "NVMe0R01 nqn.2014-08.org.example:host nqn.2014-08.org.example:subsystem"

static uint8_t psk[MAX_PSK];
static const char *suite;

/* What went over the network, in order: the first of the client. */
static struct {
	uint8_t bytes[FLIGHT_SIZE];
	size_t len;
} flights[MAX_FLIGHTS];
static size_t num_flights;

static size_t psk_len(void)
{
	return strstr(suite, "SHA384") ? 48 : 32;
}

static SSL_SESSION *session_of(SSL *ssl)
{
	SSL_SESSION *session = SSL_SESSION_new();
	STACK_OF(SSL_CIPHER) *ciphers = SSL_get_ciphers(ssl);

	ck_assert_ptr_nonnull(session);
	for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++)
		if (strcmp(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(ciphers, i)), suite) == 0)
			SSL_SESSION_set_cipher(session, sk_SSL_CIPHER_value(ciphers, i));
	SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION);
	SSL_SESSION_set1_master_key(session, psk, psk_len());
	return session;
}

static int use_psk(
	SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *len, SSL_SESSION **session)
{
	(void)md;
	*id = (const unsigned char *)IDENTITY;
	*len = strlen(IDENTITY);
	*session = session_of(ssl);
	return 1;
}

static int find_psk(SSL *ssl, const unsigned char *id, size_t len, SSL_SESSION **session)
{
	(void)id;
	(void)len;
	*session = session_of(ssl);
	return 1;
}

static SSL *end_of(SSL_CTX *context, const char *groups, bool server)
{
	SSL *ssl;

	ck_assert_int_eq(SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION), 1);
	ck_assert_int_eq(SSL_CTX_set_ciphersuites(context, suite), 1);
	ck_assert_int_eq(SSL_CTX_set1_groups_list(context, groups), 1);
	SSL_CTX_set_psk_use_session_callback(context, use_psk);
	SSL_CTX_set_psk_find_session_callback(context, find_psk);
	ssl = SSL_new(context);
	ck_assert_ptr_nonnull(ssl);
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	if (server)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	return ssl;
}

/* Lets one side speak and keeps what it says. */
static void speak(SSL *from, SSL *to)
{
	int len;

	SSL_do_handshake(from);
	ck_assert_uint_lt(num_flights, MAX_FLIGHTS);
	len = BIO_read(SSL_get_wbio(from), flights[num_flights].bytes, FLIGHT_SIZE);
	ck_assert_int_gt(len, 0);
	flights[num_flights].len = (size_t)len;
	ck_assert_int_eq(BIO_write(SSL_get_rbio(to), flights[num_flights].bytes, len), len);
	num_flights++;
}

/* ClientHello and the answer; with `retry` the server wants another group, and both come once more. */
static void shake(bool retry)
{
	SSL_CTX *contexts[] = {SSL_CTX_new(TLS_client_method()), SSL_CTX_new(TLS_server_method())};
	SSL *client = end_of(contexts[0], "P-256:P-384", false),
	    *server = end_of(contexts[1], retry ? "P-384" : "P-256", true);

	num_flights = 0;
	for (int round = 0; round < (retry ? 2 : 1); round++) {
		speak(client, server);
		speak(server, client);
	}
	SSL_free(client);
	SSL_free(server);
	SSL_CTX_free(contexts[0]);
	SSL_CTX_free(contexts[1]);
}

static void no_bytes(void *self, int side, struct nvc_slice bytes)
{
	(void)self;
	(void)side;
	(void)bytes;
}

static void no_alert(void *self, int side, uint8_t description)
{
	(void)self;
	(void)side;
	(void)description;
}

static void choose(int kind)
{
	suite = kind % 2 ? "TLS_AES_256_GCM_SHA384" : "TLS_AES_128_GCM_SHA256";
	for (size_t i = 0; i < sizeof(psk); i++)
		psk[i] = (uint8_t)(i + 1);
	shake(kind >= 2);
}

/* Reads the first `num` flights. The caller frees. */
static struct nvc_tls13 *read_flights(const struct nvc_keylog *keylog, size_t num)
{
	const struct nvc_tls13_sink sink = {.bytes = no_bytes, .alert = no_alert};
	struct nvc_tls13 *tls = nvc_tls13_new(keylog, &sink);

	ck_assert_ptr_nonnull(tls);
	for (size_t i = 0; i < num; i++)
		nvc_tls13_feed(tls, (int)(i % 2), nvc_slice_of(flights[i].bytes, flights[i].len));
	return tls;
}

static enum nvc_result bound(const struct nvc_keylog *keylog, size_t num)
{
	struct nvc_tls13 *tls = read_flights(keylog, num);
	const uint8_t hash = psk_len() == 48 ? NVC_HASH_SHA384 : NVC_HASH_SHA256;
	const enum nvc_result result = nvc_tls13_bound(tls, hash, nvc_slice_of(psk, psk_len()));

	nvc_tls13_free(tls);
	return result;
}

START_TEST(hellos_are_read)
{
	struct nvc_keylog *keylog = nvc_keylog_new();
	struct nvc_tls13 *tls;

	choose(_i);
	for (size_t num = 1; num <= num_flights; num++) {
		tls = read_flights(keylog, num);
		ck_assert(nvc_tls13_names_nvme(tls));
		ck_assert(nvc_slice_equal(nvc_tls13_hellos(tls).identity, nvc_slice_str(IDENTITY)));
		ck_assert(nvc_tls13_hellos(tls).chosen == (num == num_flights));
		ck_assert_uint_eq(nvc_tls13_hellos(tls).hash_id,
			num < num_flights ? NVC_HASH_NONE
					  : (_i % 2 ? NVC_HASH_SHA384 : NVC_HASH_SHA256));
		nvc_tls13_free(tls);
	}
	ck_assert_uint_eq(num_flights, _i >= 2 ? 4 : 2);
	nvc_keylog_free(keylog);
}
END_TEST

START_TEST(binders_are_verified)
{
	struct nvc_keylog *keylog = nvc_keylog_new();

	choose(_i);
	ck_assert_int_eq(bound(keylog, 1), NVC_OK);
	ck_assert_int_eq(bound(keylog, num_flights), NVC_OK);
	psk[0] ^= 1;
	ck_assert_int_eq(bound(keylog, 1), NVC_E_MALFORMED);
	ck_assert_int_eq(bound(keylog, num_flights), NVC_E_MALFORMED);
	nvc_keylog_free(keylog);
}
END_TEST

static bool is_covered(size_t flight, size_t at)
{
	const size_t binder = flights[flight].len - psk_len(), lengths = 3;

	/* Of the first of two hellos all of it, of the last one what is before the list of binders. */
	return flight + 2 < num_flights || at < binder - lengths || at >= binder;
}

/* One bit of anything that the binder covers, and of the binder. Where a changed length makes the hello unreadable, that is no proof
 * of anything. */
START_TEST(changed_hello_is_noticed)
{
	struct nvc_keylog *keylog = nvc_keylog_new();
	const size_t head = 5 + 4; /* of record and message */
	unsigned int wrong = 0;

	choose(_i);
	for (size_t i = 0; i < num_flights; i += 2)
		for (size_t at = head; at < flights[i].len; at++) {
			enum nvc_result result;

			if (!is_covered(i, at))
				continue;
			flights[i].bytes[at] ^= 1;
			result = bound(keylog, num_flights);
			flights[i].bytes[at] ^= 1;
			ck_assert_int_ne(result, NVC_OK);
			wrong += result == NVC_E_MALFORMED;
		}
	ck_assert_uint_gt(wrong, 100);
	nvc_keylog_free(keylog);
}
END_TEST

/* Nothing is said of a hello of which a part is missing. */
START_TEST(hello_that_is_not_whole)
{
	struct nvc_keylog *keylog = nvc_keylog_new();

	choose(0);
	/* It goes on in another record. */
	flights[0].bytes[4]--;
	flights[0].len--;
	ck_assert_int_eq(bound(keylog, 1), NVC_E_TRUNCATED);
	choose(2);
	flights[0].bytes[4]--;
	flights[0].len--;
	ck_assert_int_eq(bound(keylog, num_flights), NVC_E_TRUNCATED);
	nvc_keylog_free(keylog);
}
END_TEST

int main(void)
{
	Suite *suite_of_all = suite_create("hellos");
	TCase *core = tcase_create("core");
	SRunner *runner;
	int failed;

	tcase_set_timeout(core, 60);
	tcase_add_loop_test(core, hellos_are_read, 0, 4);
	tcase_add_loop_test(core, binders_are_verified, 0, 4);
	tcase_add_loop_test(core, changed_hello_is_noticed, 0, 4);
	tcase_add_test(core, hello_that_is_not_whole);
	suite_add_tcase(suite_of_all, core);
	runner = srunner_create(suite_of_all);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
