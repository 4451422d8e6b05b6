/* SPDX-License-Identifier: BSD-3-Clause */
/* The client end of TLS, as a stream over a stream. */
#include "stream/tls.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "stream/tls_hello.h"
#include "stream/tls_ossl.h"

struct tls_client {
	struct nvc_stream base;
	struct nvc_ossl_end ossl; /* its address is the SSL object's app data */
	struct nvc_stream *lower;
	const struct nvc_world *world;
	/* during the handshake only: */
	const struct nvc_tls_psk *psk;
	struct nvc_slice early_data;
	bool nul;	    /* the identity ends with one */
	size_t record_len;  /* of application data: see struct nvc_fault_plan */
	size_t next_record; /* of record_lens, with NVC_RECORDS_MIXED */
	/* with empty records we seal what we send by ourselves */
	bool seals;
	struct nvc_secret secret;
	struct nvc_tls_sealer sealer;
	bool failed; /* a fatal error: no close_notify any more */
	bool closed;
	bool no_close_notify;
};

static struct tls_client *client_of_ssl(const SSL *ssl)
{
	uint8_t *ossl = SSL_get_app_data(ssl);

	return (struct tls_client *)(void *)(ossl - offsetof(struct tls_client, ossl));
}

/* OpenSSL asks for the PSK to offer; after a HelloRetryRequest `md` is the hash that it must have. */
static int use_psk(
	SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *id_len, SSL_SESSION **session)
{
	const struct tls_client *client = client_of_ssl(ssl);
	const struct nvc_tls_psk *psk = client->psk;

	*id = NULL;
	*id_len = 0;
	*session = NULL;
	if (!psk)
		return 1;
	if (md && EVP_MD_get_size(md) != (psk->hash_id == 1 ? 32 : 48))
		return 1;
	*session = nvc_ossl_session(ssl, &psk->psk, psk->hash_id);
	if (!*session)
		return 0;
	if (client->early_data.len)
		SSL_SESSION_set_max_early_data(*session, NVC_TLS_RECORD_MAX);
	*id = (const unsigned char *)psk->identity;
	*id_len = strnlen(psk->identity, sizeof(psk->identity) - 1) + (client->nul ? 1 : 0);
	return 1;
}

/* Each is the sum of the two before it, so that the borders drift against those of the PDUs. */
static const uint16_t record_lens[] = {1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987,
	1597, 2584, 4181, 6765, 10946, NVC_TLS_RECORD_MAX};
enum { NUM_RECORD_LENS = sizeof(record_lens) / sizeof(record_lens[0]) };

/* How many of `len` bytes go into the next record. OpenSSL cuts what is longer than a record can be. */
static size_t next_record_len(struct tls_client *client, size_t len)
{
	size_t most = client->record_len;

	if (most == NVC_RECORDS_MIXED) {
		most = record_lens[client->next_record];
		client->next_record = (client->next_record + 1) % NUM_RECORD_LENS;
	}
	if (!most && client->seals)
		most = NVC_TLS_RECORD_MAX;
	return most && most < len ? most : len;
}

/* One context for the process: making it costs more than a handshake. */
static SSL_CTX *shared_context;
static CRYPTO_ONCE shared_once = CRYPTO_ONCE_STATIC_INIT;

static void free_shared(void)
{
	SSL_CTX_free(shared_context);
	shared_context = NULL;
}

static void make_shared(void)
{
	shared_context = nvc_ossl_context(TLS_client_method());
	if (!shared_context)
		return;
	/* No trust anchors: a certificate instead of the PSK fails the handshake. */
	SSL_CTX_set_verify(shared_context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_psk_use_session_callback(shared_context, use_psk);
	OPENSSL_atexit(free_shared);
}

static enum nvc_result apply_options(
	struct tls_client *client, const struct nvc_tls_options *options, struct nvc_error *err)
{
	const char *groups =
		options->groups ? options->groups : "X25519:P-256:P-384:ffdhe2048:ffdhe3072";
	const char *suites = options->ciphersuites;
	SSL *ssl = client->ossl.ssl;

	if (options->psk && !nvc_ossl_suite(options->psk->hash_id))
		return nvc_fail(err, NVC_E_INVALID, "a TLS PSK has hash id 1 or 2, not %u",
			options->psk->hash_id);
	if (!suites)
		suites = options->psk ? nvc_ossl_suite(options->psk->hash_id)
				      : "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384";
	if (SSL_set_ciphersuites(ssl, suites) != 1)
		return nvc_fail(err, NVC_E_INVALID, "OpenSSL knows no cipher suite '%s'", suites);
	if (SSL_set1_groups_list(ssl, groups) != 1)
		return nvc_fail(err, NVC_E_INVALID, "OpenSSL knows no groups '%s'", groups);
	if (options->tls12_only &&
		(SSL_set_min_proto_version(ssl, TLS1_2_VERSION) != 1 ||
			SSL_set_max_proto_version(ssl, TLS1_2_VERSION) != 1 ||
			SSL_set_cipher_list(ssl, "ALL:" NVC_OSSL_ANONYMOUS) != 1))
		return nvc_fail(err, NVC_E_INVALID, "OpenSSL cannot offer TLS 1.2");
	if (options->empty_records && !options->psk)
		return nvc_fail(
			err, NVC_E_INVALID, "empty records are for connections under a TLS PSK");
	if (options->record_len > NVC_TLS_RECORD_MAX && options->record_len != NVC_RECORDS_MIXED)
		return nvc_fail(err, NVC_E_INVALID, "a TLS record has at most %d bytes",
			NVC_TLS_RECORD_MAX);
	client->record_len = options->record_len;
	if (client->record_len == NVC_RECORDS_MIXED) {
		uint8_t place;

		nvc_env_random(&client->world->env, &place, sizeof(place));
		client->next_record = place % NUM_RECORD_LENS;
	}
	client->seals = options->empty_records;
	client->ossl.client_secret = client->seals ? &client->secret : NULL;
	client->psk = options->psk;
	client->early_data = options->early_data;
	client->nul = options->nul;
	client->ossl.keylog = options->keylog;
	client->ossl.keylog_self = options->keylog_self;
	SSL_set_connect_state(ssl);
	return NVC_OK;
}

/* Hands what OpenSSL wants to send to the lower stream. */
static enum nvc_result flush(struct tls_client *client, uint64_t deadline)
{
	char *pending = NULL;
	long len = BIO_get_mem_data(client->ossl.to_net, &pending);
	enum nvc_result result;

	if (len <= 0)
		return NVC_OK;
	result = nvc_stream_send(client->lower, nvc_slice_of(pending, (size_t)len), deadline);
	(void)BIO_reset(client->ossl.to_net);
	if (result != NVC_OK && client->base.end == NVC_END_OPEN)
		client->base.end = client->lower->end;
	return result;
}

/* Fetches more of the network for OpenSSL. */
static enum nvc_result fetch(struct tls_client *client, uint64_t deadline)
{
	uint8_t bytes[16384];
	size_t num = 0;
	enum nvc_result result =
		nvc_stream_recv(client->lower, bytes, sizeof(bytes), deadline, &num);

	if (result != NVC_OK) {
		if (client->base.end == NVC_END_OPEN)
			client->base.end = client->lower->end;
		return result;
	}
	return BIO_write(client->ossl.from_net, bytes, (int)num) == (int)num ? NVC_OK
									     : NVC_E_NO_MEMORY;
}

/* OpenSSL gave up: tell the peer why (best effort) and keep what the peer told us. */
static enum nvc_result give_up(struct tls_client *client, uint64_t deadline)
{
	client->failed = true;
	if (client->ossl.fatal_seen) {
		client->base.end = NVC_END_TLS_ALERT;
		client->base.alert = client->ossl.alert;
	}
	flush(client, deadline);
	return NVC_E_TLS;
}

static enum nvc_result handshake(struct tls_client *client, uint64_t deadline)
{
	size_t num = 0;

	if (client->early_data.len &&
		SSL_write_early_data(client->ossl.ssl, client->early_data.data,
			client->early_data.len, &num) != 1)
		return give_up(client, deadline);
	for (;;) {
		enum nvc_result result;
		int done, why;

		ERR_clear_error();
		done = SSL_do_handshake(client->ossl.ssl);
		why = SSL_get_error(client->ossl.ssl, done);
		if (done != 1 && why != SSL_ERROR_WANT_READ)
			return give_up(client, deadline);
		result = flush(client, deadline);
		if (done == 1 && result == NVC_OK && client->seals)
			result = nvc_tls_sealer_init(&client->sealer, client->psk->hash_id,
				nvc_secret_slice(&client->secret));
		/* The alert that explains a failed send may have come already. */
		if (done == 1 || (result != NVC_OK && result != NVC_E_CLOSED))
			return result;
		result = fetch(client, deadline);
		if (result != NVC_OK)
			return result;
	}
}

static bool seal(struct tls_client *client, uint8_t type, struct nvc_slice content)
{
	uint8_t record[NVC_TLS_SEALED_MAX];
	struct nvc_writer writer = nvc_writer_over(record, sizeof(record));

	return nvc_tls_seal(&client->sealer, type, content, &writer) == NVC_OK &&
	       BIO_write(client->ossl.to_net, record, (int)writer.len) == (int)writer.len;
}

static bool write_record(struct tls_client *client, struct nvc_slice bytes)
{
	size_t done = 0;

	if (client->seals)
		return seal(client, NVC_TLS_APPLICATION_DATA, nvc_slice_of(NULL, 0)) &&
		       seal(client, NVC_TLS_APPLICATION_DATA, bytes);
	return SSL_write_ex(client->ossl.ssl, bytes.data, bytes.len, &done) == 1 &&
	       done == bytes.len;
}

static enum nvc_result tls_send(struct nvc_stream *s, struct nvc_slice bytes, uint64_t deadline)
{
	struct tls_client *client = (struct tls_client *)s;

	if (client->closed)
		return NVC_E_STATE;
	if (client->failed)
		return NVC_E_TLS;
	ERR_clear_error();
	while (bytes.len) {
		size_t len = next_record_len(client, bytes.len);

		if (!write_record(client, nvc_slice_sub(bytes, 0, len)))
			return give_up(client, deadline);
		bytes = nvc_slice_sub(bytes, len, bytes.len);
	}
	return flush(client, deadline);
}

static enum nvc_result tls_recv(
	struct nvc_stream *s, uint8_t *out, size_t size, uint64_t deadline, size_t *num)
{
	struct tls_client *client = (struct tls_client *)s;

	for (;;) {
		enum nvc_result result;
		int why;

		if (client->failed)
			return NVC_E_TLS;
		ERR_clear_error();
		if (SSL_read_ex(client->ossl.ssl, out, size, num) == 1)
			return NVC_OK;
		*num = 0;
		why = SSL_get_error(client->ossl.ssl, 0);
		if (why == SSL_ERROR_ZERO_RETURN) {
			s->end = NVC_END_CLOSE_NOTIFY;
			return NVC_E_CLOSED;
		}
		if (why != SSL_ERROR_WANT_READ)
			return give_up(client, deadline);
		/* Reading may have made something to send, the answer to a KeyUpdate. */
		result = flush(client, deadline);
		if (result == NVC_OK || result == NVC_E_CLOSED)
			result = fetch(client, deadline);
		if (result != NVC_OK)
			return result;
	}
}

static void tls_close(struct nvc_stream *s, enum nvc_end how)
{
	struct tls_client *client = (struct tls_client *)s;

	if (client->closed)
		return;
	client->closed = true;
	if (how != NVC_END_RST && !client->failed && !client->no_close_notify &&
		SSL_is_init_finished(client->ossl.ssl)) {
		static const uint8_t close_notify[] = {1, SSL_AD_CLOSE_NOTIFY};

		ERR_clear_error();
		if (client->seals)
			seal(client, NVC_TLS_ALERT, NVC_SLICE(close_notify));
		else
			SSL_shutdown(client->ossl.ssl);
		flush(client, nvc_env_now(&client->world->env) + NVC_SEC(1));
	}
	nvc_stream_close(client->lower, how);
}

static void tls_free(struct nvc_stream *s)
{
	struct tls_client *client = (struct tls_client *)s;

	if (client->ossl.ssl)
		tls_close(s, NVC_END_FIN);
	nvc_ossl_end_fini(&client->ossl);
	nvc_secret_wipe(&client->secret);
	nvc_secret_wipe(&client->sealer.key);
	nvc_secret_wipe(&client->sealer.iv);
	nvc_stream_free(client->lower);
	free(client);
}

static struct tls_client *client_new(struct nvc_stream *lower, const struct nvc_world *world)
{
	static const struct nvc_stream_ops ops = {tls_send, tls_recv, tls_close, tls_free};
	struct tls_client *client = calloc(1, sizeof(*client));

	if (!client) {
		nvc_stream_free(lower);
		return NULL;
	}
	client->base.ops = &ops;
	client->lower = lower;
	client->world = world;
	CRYPTO_THREAD_run_once(&shared_once, make_shared);
	if (nvc_ossl_end_init(&client->ossl, shared_context))
		return client;
	tls_free(&client->base);
	return NULL;
}

static enum nvc_result explain(
	const struct tls_client *client, enum nvc_result result, struct nvc_error *err)
{
	switch (result) {
	case NVC_E_TLS:
		if (client->base.end == NVC_END_TLS_ALERT)
			return nvc_fail(err, result, "the TLS server sent the alert %u (%s)",
				client->base.alert, SSL_alert_desc_string_long(client->base.alert));
		return nvc_fail(err, result, "the TLS handshake failed: %s", nvc_ossl_reason());
	case NVC_E_CLOSED:
	case NVC_E_RESET:
		return nvc_fail(err, result,
			"the TLS server ended the connection (%s) in mid handshake",
			nvc_end_name(client->base.end));
	case NVC_E_TIMEOUT:
		return nvc_fail(err, result, "the TLS handshake did not finish in time");
	default:
		return nvc_fail(
			err, result, "the TLS handshake failed: %s", nvc_result_name(result));
	}
}

/* A ClientHello by hand: an answer is all that comes of it. */
static enum nvc_result connect_by_hand(struct nvc_stream *lower, const struct nvc_world *world,
	const struct nvc_tls_options *options, uint64_t deadline, struct nvc_error *err)
{
	enum nvc_result result = nvc_tls_hello(
		lower, &world->env, options->hello, deadline, options->hello_answer, err);

	nvc_stream_free(lower);
	return result == NVC_OK
		       ? nvc_fail(err, NVC_E_STATE, "a ClientHello by hand ends with its answer")
		       : result;
}

enum nvc_result nvc_tls_connect(struct nvc_stream *lower, const struct nvc_world *world,
	const struct nvc_tls_options *options, uint64_t deadline, struct nvc_stream **out,
	enum nvc_end *end, uint8_t *alert, struct nvc_error *err)
{
	struct tls_client *client;
	enum nvc_result result;

	*out = NULL;
	if (end)
		*end = NVC_END_OPEN;
	if (alert)
		*alert = 0;
	if (options->hello)
		return connect_by_hand(lower, world, options, deadline, err);
	client = client_new(lower, world);
	if (!client)
		return nvc_fail(err, NVC_E_NO_MEMORY, "no memory for a TLS connection");
	result = apply_options(client, options, err);
	if (result == NVC_OK) {
		result = handshake(client, deadline);
		if (result == NVC_OK && options->psk && !SSL_session_reused(client->ossl.ssl))
			result = nvc_fail(err, NVC_E_TLS, "the TLS server did not use the PSK");
		else if (result != NVC_OK)
			explain(client, result, err);
	}
	client->psk = NULL;
	if (end)
		*end = client->base.end;
	if (alert)
		*alert = client->base.alert;
	if (result == NVC_OK)
		*out = &client->base;
	else
		tls_free(&client->base);
	return result;
}

enum nvc_result nvc_tls_send_raw(struct nvc_stream *tls, struct nvc_slice bytes, uint64_t deadline)
{
	return nvc_stream_send(((struct tls_client *)tls)->lower, bytes, deadline);
}

void nvc_tls_leave_out_close_notify(struct nvc_stream *tls)
{
	((struct tls_client *)tls)->no_close_notify = true;
}

bool nvc_tls_early_data_accepted(const struct nvc_stream *tls)
{
	const struct tls_client *client = (const struct tls_client *)tls;

	return SSL_get_early_data_status(client->ossl.ssl) == SSL_EARLY_DATA_ACCEPTED;
}

enum nvc_result nvc_tls_key_update(struct nvc_stream *tls)
{
	struct tls_client *client = (struct tls_client *)tls;

	if (tls->ops->send != tls_send || client->closed || client->failed || client->seals)
		return NVC_E_STATE;
	ERR_clear_error();
	if (SSL_key_update(client->ossl.ssl, SSL_KEY_UPDATE_REQUESTED) != 1)
		return NVC_E_CRYPTO;
	return NVC_OK;
}
