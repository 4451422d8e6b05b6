/* SPDX-License-Identifier: BSD-3-Clause */
/* The parsers of what people paste and peers send: DHHC-1, NVMeTLSkey-1 and PSK identities. What is
 * taken must come out of the formatter as it went in: there is one spelling of everything. */
#include "crypto/dhchap_key.h"
#include "crypto/tls_psk.h"
#include "tests/fuzz/fuzz_main.h"

static void fuzz_dhchap_key(struct nvc_slice in)
{
	struct nvc_error err = {.result = NVC_OK};
	char text[NVC_DHCHAP_KEY_TEXT_SIZE];
	struct nvc_dhchap_key key;

	if (nvc_dhchap_key_parse(in, &key, &err) != NVC_OK) {
		FUZZ_CHECK(err.result == NVC_E_INVALID && err.text[0] && key.secret.len == 0);
		return;
	}
	FUZZ_CHECK(nvc_dhchap_key_format(&key, text, sizeof(text)) == NVC_OK);
	FUZZ_CHECK(nvc_slice_equal(in, nvc_slice_str(text)));
}

static void fuzz_tls_key(struct nvc_slice in)
{
	struct nvc_error err = {.result = NVC_OK};
	char text[NVC_TLS_KEY_TEXT_SIZE];
	struct nvc_tls_key key;

	if (nvc_tls_key_parse(in, &key, &err) != NVC_OK) {
		FUZZ_CHECK(err.result == NVC_E_INVALID && err.text[0] && key.psk.len == 0);
		return;
	}
	FUZZ_CHECK(nvc_tls_key_format(&key, text, sizeof(text)) == NVC_OK);
	FUZZ_CHECK(nvc_slice_equal(in, nvc_slice_str(text)));
}

static void fuzz_identity(struct nvc_slice in)
{
	struct nvc_error err = {.result = NVC_OK};
	char identity[NVC_PSK_IDENTITY_SIZE];
	struct nvc_psk_identity id;

	if (nvc_tls_psk_identity_parse(in, &id, &err) != NVC_OK) {
		FUZZ_CHECK(err.result == NVC_E_MALFORMED && err.text[0]);
		return;
	}

	/* With some PSK the identity comes back as it was, but for the digest of that PSK. */
	const struct nvc_psk_params params = {
		.version = id.version,
		.type = id.type,
		.hash_id = id.hash_id,
		.psk = in,
		.hostnqn = id.hostnqn,
		.subnqn = id.subnqn,
	};
	FUZZ_CHECK(nvc_tls_psk_identity(&params, identity, sizeof(identity)) == NVC_OK);
	FUZZ_CHECK(strlen(identity) == in.len);
	FUZZ_CHECK(memcmp(identity, in.data, in.len - id.digest.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nvc_slice in = nvc_slice_of(data, size);

	fuzz_dhchap_key(in);
	fuzz_tls_key(in);
	fuzz_identity(in);
	return 0;
}
