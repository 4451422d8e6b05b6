/* SPDX-License-Identifier: BSD-3-Clause */
/* The server end of TLS: bytes in, bytes out. */
#include "stream/tls.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "stream/fifo.h"
#include "stream/tls_ossl.h"

struct nvc_tls_server {
	struct nvc_ossl_end ossl; /* first: its address is the SSL object's app data */
	struct nvc_tls_accept accept;
	void *conn;
	struct nvc_tls_psk chosen; /* hash_id 0: none of the offered identities fits */
	struct nvc_fifo plain;
	struct nvc_fifo lens;  /* of the records in `plain`, as size_t */
	bool early_data_ended; /* with accept.early_data */
	bool nul;	       /* the identity chosen ends with one */
	bool established;
	bool key_update; /* with accept.no_key_update: one came */
	bool peer_closed;
	bool failed;
	bool closed;
};

/* Whether the ClientHello offers the suite that a PSK of `hash_id` needs. */
static bool suite_is_offered(SSL *ssl, uint8_t hash_id)
{
	const unsigned char *suites = NULL;
	size_t len = SSL_client_hello_get0_ciphers(ssl, &suites);
	uint16_t suite_id = nvc_ossl_suite_id(hash_id);

	for (size_t i = 0; suite_id && i + 2 <= len; i += 2)
		if ((suites[i] << 8 | suites[i + 1]) == suite_id)
			return true;
	return false;
}

static void consider(struct nvc_tls_server *tls, const uint8_t *identity, size_t len)
{
	struct nvc_tls_psk *chosen = &tls->chosen;

	tls->nul = tls->accept.nul_identities && len > 1 && !identity[len - 1];
	if (tls->nul)
		len--;
	if (!len || len >= sizeof(chosen->identity) || memchr(identity, 0, len))
		return;
	memcpy(chosen->identity, identity, len);
	chosen->identity[len] = '\0';
	if (!tls->accept.find_psk(tls->conn, chosen->identity, &chosen->psk, &chosen->hash_id) ||
		!suite_is_offered(tls->ossl.ssl, chosen->hash_id)) {
		nvc_secret_wipe(&chosen->psk);
		chosen->hash_id = 0;
	}
}

/* pre_shared_key of a ClientHello (RFC 8446, 4.2.11): a list of {identity<1..2^16-1>, obfuscated_ticket_age}. The first
 * one that is known and whose suite is offered is taken. */
static void choose_psk(struct nvc_tls_server *tls, const uint8_t *extension, size_t len)
{
	size_t pos = 2, end;

	if (len < 2)
		return;
	end = 2 + (size_t)(extension[0] << 8 | extension[1]);
	if (end > len)
		return;
	while (!tls->chosen.hash_id && end - pos >= 2) {
		size_t identity_len = (size_t)(extension[pos] << 8 | extension[pos + 1]);

		pos += 2;
		if (end - pos < identity_len + 4)
			return;
		consider(tls, extension + pos, identity_len);
		pos += identity_len + 4;
	}
}

/*
 * OpenSSL picks the suite first and drops a PSK of another hash afterwards. A host that offers both suites would be refused
 * by the order of its list, so the suite is narrowed to that of the PSK before OpenSSL picks. Also called for the second
 * ClientHello after a HelloRetryRequest, when the choice stands.
 */
static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
	struct nvc_tls_server *tls = SSL_get_app_data(ssl);
	const unsigned char *extension = NULL;
	size_t len = 0;

	(void)arg;
	if (tls->chosen.hash_id)
		return SSL_CLIENT_HELLO_SUCCESS;
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_psk, &extension, &len) != 1) {
		/* A client of TLS 1.2 is told so by OpenSSL itself. */
		return SSL_CLIENT_HELLO_SUCCESS;
	}
	choose_psk(tls, extension, len);
	if (!tls->chosen.hash_id) {
		*alert = SSL_AD_UNKNOWN_PSK_IDENTITY;
		return SSL_CLIENT_HELLO_ERROR;
	}
	if (SSL_set_ciphersuites(ssl, nvc_ossl_suite(tls->chosen.hash_id)) != 1) {
		*alert = SSL_AD_INTERNAL_ERROR;
		return SSL_CLIENT_HELLO_ERROR;
	}
	return SSL_CLIENT_HELLO_SUCCESS;
}

static int find_session(SSL *ssl, const unsigned char *identity, size_t len, SSL_SESSION **session)
{
	struct nvc_tls_server *tls = SSL_get_app_data(ssl);
	const struct nvc_tls_psk *chosen = &tls->chosen;

	*session = NULL;
	if (!chosen->hash_id || len != strlen(chosen->identity) + (tls->nul ? 1 : 0) ||
		memcmp(identity, chosen->identity, len) != 0)
		return 1;
	*session = nvc_ossl_session(ssl, &chosen->psk, chosen->hash_id);
	if (*session && tls->accept.early_data)
		SSL_SESSION_set_max_early_data(*session, NVC_TLS_RECORD_MAX);
	return *session != NULL;
}

static SSL_CTX *shared_context;
static CRYPTO_ONCE shared_once = CRYPTO_ONCE_STATIC_INIT;

static void free_shared(void)
{
	SSL_CTX_free(shared_context);
	shared_context = NULL;
}

static void make_shared(void)
{
	static const char groups[] = "X25519:P-256:P-384:P-521:X448:ffdhe2048:ffdhe3072:ffdhe4096";
	static const char suites[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384";

	shared_context = nvc_ossl_context(TLS_server_method());
	if (!shared_context)
		return;
	if (SSL_CTX_set1_groups_list(shared_context, groups) != 1 ||
		SSL_CTX_set_ciphersuites(shared_context, suites) != 1) {
		free_shared();
		return;
	}
	SSL_CTX_set_client_hello_cb(shared_context, on_client_hello, NULL);
	SSL_CTX_set_psk_find_session_callback(shared_context, find_session);
	OPENSSL_atexit(free_shared);
}

static void on_message(
	int sent, int version, int content_type, const void *bytes, size_t len, SSL *ssl, void *arg)
{
	struct nvc_tls_server *tls = SSL_get_app_data(ssl);

	(void)version;
	(void)arg;
	if (!sent && content_type == SSL3_RT_HANDSHAKE && len &&
		*(const uint8_t *)bytes == SSL3_MT_KEY_UPDATE)
		tls->key_update = true;
}

struct nvc_tls_server *nvc_tls_server_new(const struct nvc_tls_accept *accept, void *conn)
{
	struct nvc_tls_server *tls = calloc(1, sizeof(*tls));

	if (!tls)
		return NULL;
	CRYPTO_THREAD_run_once(&shared_once, make_shared);
	if (!nvc_ossl_end_init(&tls->ossl, shared_context)) {
		nvc_tls_server_free(tls);
		return NULL;
	}
	tls->accept = *accept;
	tls->conn = conn;
	if (accept->tls12) {
		SSL_set_min_proto_version(tls->ossl.ssl, TLS1_2_VERSION);
		SSL_set_cipher_list(tls->ossl.ssl, NVC_OSSL_ANONYMOUS);
	}
	if (accept->early_data) {
		SSL_set_max_early_data(tls->ossl.ssl, NVC_TLS_RECORD_MAX);
		SSL_set_options(tls->ossl.ssl, SSL_OP_NO_ANTI_REPLAY);
	}
	if (accept->no_key_update)
		SSL_set_msg_callback(tls->ossl.ssl, on_message);
	if (accept->psk_ke)
		SSL_set_options(tls->ossl.ssl, SSL_OP_ALLOW_NO_DHE_KEX);
	SSL_set_accept_state(tls->ossl.ssl);
	return tls;
}

void nvc_tls_server_free(struct nvc_tls_server *tls)
{
	if (!tls)
		return;
	nvc_ossl_end_fini(&tls->ossl);
	nvc_secret_wipe(&tls->chosen.psk);
	nvc_fifo_fini(&tls->plain);
	nvc_fifo_fini(&tls->lens);
	free(tls);
}

void nvc_tls_server_keylog(
	struct nvc_tls_server *tls, void (*keylog)(void *self, const char *line), void *self)
{
	tls->ossl.keylog = keylog;
	tls->ossl.keylog_self = self;
}

static enum nvc_result fail(struct nvc_tls_server *tls)
{
	tls->failed = true;
	return NVC_E_TLS;
}

static bool keep(struct nvc_tls_server *tls, const uint8_t *plain, size_t len)
{
	return nvc_fifo_put(&tls->plain, nvc_slice_of(plain, len)) &&
	       nvc_fifo_put(&tls->lens, nvc_slice_of(&len, sizeof(len)));
}

/* What comes before the handshake is complete. True when the handshake can go on. */
static bool take_early_data(struct nvc_tls_server *tls)
{
	uint8_t plain[NVC_TLS_RECORD_MAX];
	size_t num = 0;

	while (!tls->early_data_ended) {
		int got = SSL_read_early_data(tls->ossl.ssl, plain, sizeof(plain), &num);

		if (got == SSL_READ_EARLY_DATA_ERROR)
			return SSL_get_error(tls->ossl.ssl, 0) != SSL_ERROR_WANT_READ;
		tls->early_data_ended = got == SSL_READ_EARLY_DATA_FINISH;
		if (num && !keep(tls, plain, num))
			return true;
	}
	return true;
}

static enum nvc_result go_on_with_handshake(struct nvc_tls_server *tls)
{
	int done;

	if (tls->accept.early_data && !take_early_data(tls))
		return NVC_OK;
	done = SSL_do_handshake(tls->ossl.ssl);
	if (done != 1)
		return SSL_get_error(tls->ossl.ssl, done) == SSL_ERROR_WANT_READ ? NVC_OK
										 : fail(tls);
	/* There is no certificate to fall back on, so this is our own bug if it ever happens. */
	if ((!SSL_session_reused(tls->ossl.ssl) || !tls->chosen.hash_id) && !tls->accept.tls12)
		return fail(tls);
	tls->established = true;
	if (tls->accept.secured)
		tls->accept.secured(
			tls->conn, tls->chosen.identity, nvc_ossl_suite_id(tls->chosen.hash_id));
	return NVC_OK;
}

/* Decrypts all that is complete, so that a bad record is told by the feed that brought it. */
static enum nvc_result decrypt(struct nvc_tls_server *tls)
{
	uint8_t plain[NVC_TLS_RECORD_MAX];
	size_t num = 0;
	int why;

	ERR_clear_error();
	while (SSL_read_ex(tls->ossl.ssl, plain, sizeof(plain), &num) == 1)
		if (!keep(tls, plain, num))
			return fail(tls);
	why = SSL_get_error(tls->ossl.ssl, 0);
	if (tls->key_update)
		return fail(tls);
	if (why == SSL_ERROR_ZERO_RETURN)
		tls->peer_closed = true;
	else if (why != SSL_ERROR_WANT_READ)
		return fail(tls);
	return NVC_OK;
}

enum nvc_result nvc_tls_server_feed(struct nvc_tls_server *tls, struct nvc_slice bytes)
{
	size_t done = 0;

	if (tls->failed)
		return NVC_E_TLS;
	ERR_clear_error();
	if (bytes.len && (BIO_write_ex(tls->ossl.from_net, bytes.data, bytes.len, &done) != 1 ||
				 done != bytes.len))
		return fail(tls);
	if (!tls->established) {
		enum nvc_result result = go_on_with_handshake(tls);

		if (result != NVC_OK || !tls->established)
			return result;
	}
	return decrypt(tls);
}

size_t nvc_tls_server_take(struct nvc_tls_server *tls, uint8_t *out, size_t size)
{
	size_t num = 0;

	if (BIO_ctrl_pending(tls->ossl.to_net) == 0 ||
		BIO_read_ex(tls->ossl.to_net, out, size, &num) != 1)
		return 0;
	return num;
}

size_t nvc_tls_server_read(
	struct nvc_tls_server *tls, uint8_t out[NVC_TLS_RECORD_MAX], bool *closed)
{
	size_t len = 0;

	*closed = tls->peer_closed;
	nvc_fifo_take(&tls->lens, (uint8_t *)&len, sizeof(len));
	return nvc_fifo_take(&tls->plain, out, len);
}

enum nvc_result nvc_tls_server_write(struct nvc_tls_server *tls, struct nvc_slice bytes)
{
	size_t done = 0;

	if (!tls->established || tls->closed)
		return NVC_E_STATE;
	if (tls->failed)
		return NVC_E_TLS;
	if (!bytes.len)
		return NVC_OK;
	ERR_clear_error();
	if (SSL_write_ex(tls->ossl.ssl, bytes.data, bytes.len, &done) != 1 || done != bytes.len)
		return fail(tls);
	return NVC_OK;
}

void nvc_tls_server_close(struct nvc_tls_server *tls)
{
	if (!tls->established || tls->failed || tls->closed)
		return;
	tls->closed = true;
	ERR_clear_error();
	SSL_shutdown(tls->ossl.ssl);
}

bool nvc_tls_server_established(const struct nvc_tls_server *tls)
{
	return tls->established;
}
