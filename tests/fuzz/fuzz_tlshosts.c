/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any text as `tls_hosts_file`, which is rendered from the hub's document: what is refused changes nothing; what is
 * taken is between one name and API_HOSTS_MAX, each a line of the text, the same when it is read again, and a
 * certificate can be made for it which names as many.
 */
/* links: api init/config init/lib plan */
/* libs: json-c mbedtls */
#include <psa/crypto.h>
#include <string.h>

#include "init/api/identity.h"
#include "init/api/options.h"
#include "target.h"

static void check_certificate(struct api_options *o)
{
	static struct identity identity;
	mbedtls_x509_crt certificate;
	mbedtls_pk_context key;
	size_t n = 0;

	must(identity_create(o->hosts, o->n_hosts, &identity) == 0, "a certificate for them");
	mbedtls_x509_crt_init(&certificate);
	mbedtls_pk_init(&key);
	must(identity_parse(identity.certificate, identity.key, &certificate, &key) == 0, "it is read again");
	for (const mbedtls_x509_sequence *name = &certificate.subject_alt_names; name && name->buf.p; name = name->next)
		n++;
	must(n == o->n_hosts, "it names them all");
	mbedtls_x509_crt_free(&certificate);
	mbedtls_pk_free(&key);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct api_options o, before, again;
	static char lines[API_HOSTS_MAX * (API_HOST_MAX + 1) + 1];
	static bool prepared;
	char *text = malloc(size + 1), *end = lines;

	if (!prepared)
		must(psa_crypto_init() == PSA_SUCCESS, "PSA");
	prepared = true;
	memset(&before, 0x55, sizeof(before));
	o = before;
	memcpy(text, bytes, size);
	text[size] = '\0';
	if (!api_hosts_parse(&o, text)) {
		must(!memcmp(&o, &before, sizeof(o)), "what is refused changes nothing");
		free(text);
		return 0;
	}
	must(o.n_hosts > 0 && o.n_hosts <= API_HOSTS_MAX, "the number of names");
	for (size_t i = 0; i < o.n_hosts; i++) {
		must(memchr(o.hosts[i], 0, API_HOST_MAX) && o.hosts[i][0] && strstr(text, o.hosts[i]), "a name of the text");
		end += sprintf(end, "%s\n", o.hosts[i]);
	}
	must(api_hosts_parse(&again, lines) && again.n_hosts == o.n_hosts, "read again they are as many");
	for (size_t i = 0; i < o.n_hosts; i++)
		must(!strcmp(again.hosts[i], o.hosts[i]), "read again they are the same");
	check_certificate(&o);
	free(text);
	return 0;
}
