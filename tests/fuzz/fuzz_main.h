/* SPDX-License-Identifier: BSD-3-Clause */
/* What every fuzz target shares: the entry libFuzzer calls, and with NVC_FUZZ_STANDALONE a main that feeds it files or
 * standard input, for AFL and for the seeds as a regression test. */
#ifndef NVC_TESTS_FUZZ_MAIN_H
#define NVC_TESTS_FUZZ_MAIN_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property of the code under test; unlike assert it also holds in builds without assertions. */
#define FUZZ_CHECK(condition)                                                                      \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#ifdef NVC_FUZZ_STANDALONE
/* The input gets memory of its exact size, so that a read past it is seen. */
static int fuzz_stream(FILE *in, const char *name)
{
	static uint8_t buffer[1 << 20];
	size_t size = fread(buffer, 1, sizeof(buffer), in);
	uint8_t *data = malloc(size ? size : 1);

	if (!data || ferror(in)) {
		fprintf(stderr, "%s: cannot be read\n", name);
		free(data);
		return EXIT_FAILURE;
	}
	memcpy(data, buffer, size);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	int result = EXIT_SUCCESS;

	if (argc < 2)
		return fuzz_stream(stdin, "standard input");
	for (int i = 1; i < argc && result == EXIT_SUCCESS; i++) {
		FILE *in = fopen(argv[i], "rb");

		if (!in) {
			perror(argv[i]);
			return EXIT_FAILURE;
		}
		result = fuzz_stream(in, argv[i]);
		fclose(in);
	}
	return result;
}
#endif

#endif
