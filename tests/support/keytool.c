/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * keytool answers one line per line of stdin, so that tests/vectors/crosscheck_nvme_cli.py can ask
 * lib/crypto without secrets on a command line:
 *
 *	dhchap-parse TEXT            ok HASH HEX | error DIAGNOSIS
 *	dhchap-format HASH HEX       ok TEXT
 *	dhchap-transform TEXT NQN    ok HEX
 *	tls-parse TEXT               ok HASH HEX | error DIAGNOSIS
 *	tls-format HASH HEX          ok TEXT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/dhchap_key.h"
#include "crypto/tls_psk.h"

enum { MAX_LINE = 1024 };

static void print_hex(struct nvc_slice bytes)
{
	char hex[2 * NVC_MAX_SECRET + 1];

	printf("%s\n", nvc_hex(bytes, hex, sizeof(hex)));
}

static bool read_hex(const char *hex, struct nvc_secret *out)
{
	size_t len = strlen(hex) / 2;

	if (strlen(hex) % 2 || len > sizeof(out->data))
		return false;
	out->len = len;
	for (size_t i = 0; i < len; i++) {
		char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
		char *end;

		out->data[i] = (uint8_t)strtoul(digits, &end, 16);
		if (*end)
			return false;
	}
	return true;
}

static void answer_parsed(enum nvc_result result, const struct nvc_error *err, uint8_t hash_id,
	const struct nvc_secret *secret)
{
	if (result != NVC_OK) {
		printf("error %s\n", err->text);
		return;
	}
	printf("ok %u ", hash_id);
	print_hex(nvc_secret_slice(secret));
}

static void answer_formatted(enum nvc_result result, const char *text)
{
	if (result == NVC_OK)
		printf("ok %s\n", text);
	else
		printf("error %s\n", nvc_result_name(result));
}

static void answer_dhchap(const char *verb, const char *first, const char *second)
{
	struct nvc_dhchap_key key = {.hash_id = 0};
	struct nvc_error err = {.result = NVC_OK};
	char text[NVC_DHCHAP_KEY_TEXT_SIZE] = "";
	struct nvc_secret out;
	enum nvc_result result;

	if (strcmp(verb, "dhchap-format") == 0) {
		key.hash_id = (uint8_t)strtoul(first, NULL, 10);
		result = read_hex(second, &key.secret)
				 ? nvc_dhchap_key_format(&key, text, sizeof(text))
				 : NVC_E_INVALID;
		answer_formatted(result, text);
		return;
	}
	result = nvc_dhchap_key_parse(nvc_slice_str(first), &key, &err);
	if (result == NVC_OK && strcmp(verb, "dhchap-transform") == 0) {
		result = nvc_dhchap_key_transform(&key, nvc_slice_str(second), &out);
		printf("%s ", result == NVC_OK ? "ok" : "error");
		print_hex(nvc_secret_slice(&out));
		return;
	}
	answer_parsed(result, &err, key.hash_id, &key.secret);
}

static void answer_tls(const char *verb, const char *first, const char *second)
{
	struct nvc_tls_key key = {.hash_id = 0};
	struct nvc_error err = {.result = NVC_OK};
	char text[NVC_TLS_KEY_TEXT_SIZE] = "";
	enum nvc_result result;

	if (strcmp(verb, "tls-format") == 0) {
		key.hash_id = (uint8_t)strtoul(first, NULL, 10);
		result = read_hex(second, &key.psk) ? nvc_tls_key_format(&key, text, sizeof(text))
						    : NVC_E_INVALID;
		answer_formatted(result, text);
		return;
	}
	result = nvc_tls_key_parse(nvc_slice_str(first), &key, &err);
	answer_parsed(result, &err, key.hash_id, &key.psk);
}

int main(void)
{
	char line[MAX_LINE], verb[32], first[512], second[512];

	while (fgets(line, sizeof(line), stdin)) {
		first[0] = second[0] = '\0';
		if (sscanf(line, "%31s %511s %511s", verb, first, second) < 1)
			continue;
		if (strncmp(verb, "dhchap-", 7) == 0)
			answer_dhchap(verb, first, second);
		else if (strncmp(verb, "tls-", 4) == 0)
			answer_tls(verb, first, second);
		else
			printf("error unknown verb\n");
		fflush(stdout);
	}
	return EXIT_SUCCESS;
}
