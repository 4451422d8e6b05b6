/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream/tls_ossl.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

/* "CLIENT_TRAFFIC_SECRET_0 <client random> <secret>", in hex. */
static void keep_client_secret(const char *line, struct nvc_secret *secret)
{
	static const char label[] = "CLIENT_TRAFFIC_SECRET_0 ";
	const char *hex = strrchr(line, ' ');

	if (strncmp(line, label, sizeof(label) - 1) != 0 ||
		OPENSSL_hexstr2buf_ex(
			secret->data, sizeof(secret->data), &secret->len, hex + 1, '\0') != 1)
		return;
}

static void on_keylog(const SSL *ssl, const char *line)
{
	const struct nvc_ossl_end *end = SSL_get_app_data(ssl);

	if (end && end->client_secret)
		keep_client_secret(line, end->client_secret);
	if (end && end->keylog)
		end->keylog(end->keylog_self, line);
}

/* OpenSSL reports an alert as level * 256 + description. */
static void on_info(const SSL *ssl, int where, int value)
{
	struct nvc_ossl_end *end = SSL_get_app_data(ssl);

	if (!end || !(where & SSL_CB_ALERT) || !(where & SSL_CB_READ) ||
		(value & 0xff) == SSL_AD_CLOSE_NOTIFY)
		return;
	end->fatal_seen = true;
	end->alert = (uint8_t)value;
}

SSL_CTX *nvc_ossl_context(const SSL_METHOD *method)
{
	SSL_CTX *context = SSL_CTX_new(method);

	if (!context)
		return NULL;
	if (SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
		SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) != 1 ||
		SSL_CTX_set_num_tickets(context, 0) != 1) {
		SSL_CTX_free(context);
		return NULL;
	}
	SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_keylog_callback(context, on_keylog);
	SSL_CTX_set_info_callback(context, on_info);
	return context;
}

bool nvc_ossl_end_init(struct nvc_ossl_end *end, SSL_CTX *context)
{
	end->ssl = context ? SSL_new(context) : NULL;
	if (!end->ssl)
		return false;
	SSL_set_app_data(end->ssl, end);
	end->from_net = BIO_new(BIO_s_mem());
	end->to_net = BIO_new(BIO_s_mem());
	if (!end->from_net || !end->to_net) {
		BIO_free(end->from_net);
		BIO_free(end->to_net);
		return false;
	}
	SSL_set_bio(end->ssl, end->from_net, end->to_net);
	return true;
}

void nvc_ossl_end_fini(struct nvc_ossl_end *end)
{
	SSL_free(end->ssl);
	end->ssl = NULL;
}

const char *nvc_ossl_suite(uint8_t hash_id)
{
	switch (hash_id) {
	case 1:
		return "TLS_AES_128_GCM_SHA256";
	case 2:
		return "TLS_AES_256_GCM_SHA384";
	default:
		return NULL;
	}
}

uint16_t nvc_ossl_suite_id(uint8_t hash_id)
{
	return hash_id == 1 ? 0x1301 : hash_id == 2 ? 0x1302 : 0;
}

SSL_SESSION *nvc_ossl_session(SSL *ssl, const struct nvc_secret *psk, uint8_t hash_id)
{
	uint16_t suite_id = nvc_ossl_suite_id(hash_id);
	const uint8_t wire_id[2] = {(uint8_t)(suite_id >> 8), (uint8_t)suite_id};
	const SSL_CIPHER *suite = SSL_CIPHER_find(ssl, wire_id);
	SSL_SESSION *session = suite ? SSL_SESSION_new() : NULL;

	if (!session)
		return NULL;
	if (SSL_SESSION_set1_master_key(session, psk->data, psk->len) == 1 &&
		SSL_SESSION_set_cipher(session, suite) == 1 &&
		SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1)
		return session;
	SSL_SESSION_free(session);
	return NULL;
}

const char *nvc_ossl_reason(void)
{
	unsigned long error = ERR_peek_last_error();
	const char *reason = error ? ERR_reason_error_string(error) : NULL;

	return reason ? reason : "no reason given";
}
