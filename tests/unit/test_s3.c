/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is made of a store's lists and errors, and the signature against AWS' published examples. No network.
 */
/* links: snapshot stages/lib init/lib */
/* libs: expat curl mbedtls */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stages/snapshot/percent.h"
#include "stages/snapshot/s3.h"
#include "stages/snapshot/s3xml.h"
#include "stages/snapshot/sigv4.h"
#include "stages/lib/xml.h"
#include "test.h"

#define LIST(inside) "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">" \
	inside "</ListBucketResult>"
#define OBJECT(key, size) "<Contents><Key>" key "</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>" \
	"<ETag>&quot;0123456789abcdef-3&quot;</ETag><Size>" size "</Size></Contents>"
#define WHOLE "<IsTruncated>false</IsTruncated>"
#define URL "<EncodingType>url</EncodingType>"

static struct {
	char key[S3_KEY_MAX + 1], etag[S3_ETAG_MAX + 1];
	uint64_t size;
} seen[16];
static unsigned count;
static struct s3xml_page page;
static char reason[S3_ERROR_MAX];

static int each(void *context, const struct s3_object *object)
{
	if (context)
		return *(int *)context;
	if (count < 16) {
		snprintf(seen[count].key, sizeof(seen[count].key), "%s", object->key);
		snprintf(seen[count].etag, sizeof(seen[count].etag), "%s", object->etag);
		seen[count].size = object->size;
	}
	count++;
	return 0;
}

static int parse(const char *text, const char *prefix)
{
	count = 0;
	return s3xml_page(text, strlen(text), prefix, each, NULL, &page, reason);
}

TEST(list_gives_key_size_and_etag)
{
	CHECK_INT(parse(LIST(WHOLE "<KeyCount>2</KeyCount>" OBJECT("p/a", "12") OBJECT("p/b/c", "0")), "p/"), 0);
	CHECK_INT(count, 2);
	CHECK_STR(seen[0].key, "p/a");
	CHECK_INT(seen[0].size, 12);
	CHECK_STR(seen[0].etag, "\"0123456789abcdef-3\"");
	CHECK_STR(seen[1].key, "p/b/c");
	CHECK(!page.truncated);
	CHECK_STR(page.token, "");
}

TEST(a_namespace_prefix_makes_no_difference)
{
	CHECK_INT(parse("<s:ListBucketResult xmlns:s=\"x\"><s:IsTruncated>false</s:IsTruncated></s:ListBucketResult>", ""), 0);
	CHECK_INT(count, 0);
}

TEST(keys_are_decoded_only_when_the_list_says_so)
{
	CHECK_INT(parse(LIST(OBJECT("p/a+b%20c%2Bd%C3%A9", "1") URL WHOLE), "p/"), 0);
	CHECK_STR(seen[0].key, "p/a b c+d\xc3\xa9");
	CHECK_INT(parse(LIST(OBJECT("p/a+b%20c", "1") WHOLE), "p/"), 0);
	CHECK_STR(seen[0].key, "p/a+b%20c");
}

TEST(an_empty_encoding_type_is_none)
{
	CHECK_INT(parse(LIST("<EncodingType></EncodingType>" OBJECT("p/a+b%20c", "1") WHOLE), "p/"), 0);
	CHECK_STR(seen[0].key, "p/a+b%20c");
	CHECK_INT(parse(LIST("<EncodingType>base64</EncodingType>" WHOLE), "p/"), -EBADMSG);
}

TEST(an_etag_without_quotes_gets_them)
{
	CHECK_INT(parse(LIST(WHOLE "<Contents><Key>k</Key><ETag>abc</ETag><Size>1</Size></Contents>"), ""), 0);
	CHECK_STR(seen[0].etag, "\"abc\"");
}

TEST(bad_escapes_and_encoded_nuls_are_refused)
{
	const char *const keys[] = { LIST(OBJECT("p/%", "1") URL WHOLE), LIST(OBJECT("p/%4", "1") URL WHOLE),
				     LIST(OBJECT("p/%zz", "1") URL WHOLE), LIST(OBJECT("p/a%00b", "1") URL WHOLE) };

	for (size_t i = 0; i < 4; i++) {
		CHECK_INT(parse(keys[i], "p/"), -EBADMSG);
		CHECK_INT(count, 0);
	}
}

TEST(a_key_outside_the_prefix_is_refused)
{
	CHECK_INT(parse(LIST(WHOLE OBJECT("q/a", "1")), "p/"), -EBADMSG);
	CHECK(strstr(reason, "outside the requested prefix"));
}

TEST(sizes_that_are_no_sizes_are_refused)
{
	const char *const lists[] = { LIST(WHOLE OBJECT("a", "-1")), LIST(WHOLE OBJECT("a", "")), LIST(WHOLE OBJECT("a", "1x")),
				      LIST(WHOLE OBJECT("a", "5497558138881")), LIST(WHOLE OBJECT("a", "99999999999999999999")),
				      LIST(WHOLE OBJECT("a", " 1")), LIST(WHOLE OBJECT("a", "0x10")) };

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		CHECK_INT(parse(lists[i], ""), -EBADMSG);
	CHECK_INT(parse(LIST(WHOLE OBJECT("a", "5497558138880")), ""), 0);
}

TEST(etags_that_could_smuggle_a_header_are_refused)
{
	const char *const etags[] = { "&quot;a&#13;&#10;X: y&quot;", "&quot;a b&quot;", "&quot;a&quot;b&quot;", "&quot;&quot;", "",
				      "&quot;a\\&quot;", "&quot;a" };
	char text[512];

	for (size_t i = 0; i < sizeof(etags) / sizeof(*etags); i++) {
		snprintf(text, sizeof(text), LIST(WHOLE "<Contents><Key>k</Key><ETag>%s</ETag><Size>1</Size></Contents>"),
			 etags[i]);
		CHECK_INT(parse(text, ""), -EBADMSG);
	}
}

TEST(entries_that_lack_something_are_refused)
{
	CHECK_INT(parse(LIST(WHOLE "<Contents><Key>k</Key><Size>1</Size></Contents>"), ""), -EBADMSG);
	CHECK_INT(parse(LIST(WHOLE "<Contents><Key>k</Key><ETag>a</ETag></Contents>"), ""), -EBADMSG);
	CHECK_INT(parse(LIST(WHOLE "<Contents><ETag>a</ETag><Size>1</Size></Contents>"), ""), -EBADMSG);
	CHECK_INT(parse(LIST(WHOLE "<Contents><Key>k</Key><Key>l</Key><ETag>a</ETag><Size>1</Size></Contents>"), ""), -EBADMSG);
}

TEST(a_list_without_its_end_is_refused)
{
	char text[] = LIST(WHOLE OBJECT("p/a", "12") OBJECT("p/b", "1"));

	for (size_t size = 0; size < strlen(text); size++) {
		count = 0;
		CHECK(s3xml_page(text, size, "p/", each, NULL, &page, reason) < 0);
		CHECK_INT(count, 0);
		CHECK(*reason);
	}
}

TEST(a_list_that_does_not_say_whether_it_is_whole_is_refused)
{
	CHECK_INT(parse(LIST(OBJECT("a", "1")), ""), -EBADMSG);
	CHECK_INT(parse(LIST("<IsTruncated>maybe</IsTruncated>"), ""), -EBADMSG);
	CHECK_INT(parse(LIST("<IsTruncated>true</IsTruncated>" OBJECT("a", "1")), ""), -EBADMSG);
}

TEST(other_documents_are_refused)
{
	CHECK_INT(parse("", ""), -EBADMSG);
	CHECK_INT(parse("<html><body>hello</body></html>", ""), -EBADMSG);
	CHECK_INT(parse("<Error><Code>AccessDenied</Code></Error>", ""), -EBADMSG);
}

TEST(a_document_type_is_refused_before_any_entity_counts)
{
	CHECK_INT(parse("<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]>" LIST(WHOLE OBJECT("&b;", "1")), ""),
		  -EBADMSG);
	CHECK(strstr(reason, "document type"));
}

TEST(no_document_chooses_its_encoding)
{
	static const char list[] = LIST(WHOLE OBJECT("a", "1"));
	char wide[2 * sizeof(list)] = {0};

	for (size_t i = 0; i < sizeof(list) - 1; i++)
		wide[2 * i] = list[i];
	CHECK_INT(s3xml_page(wide, 2 * (sizeof(list) - 1), "", each, NULL, &page, reason), -EBADMSG);
	CHECK(strstr(reason, "not UTF-8"));
	CHECK_INT(parse("<?xml version=\"1.0\" encoding=\"iso-8859-1\"?><ListBucketResult>" WHOLE
			OBJECT("\xe4", "1") "</ListBucketResult>", ""), -EBADMSG);
}

TEST(depth_and_text_are_bounded)
{
	char *text = malloc(100000);

	memset(text, 0, 100000);
	for (int i = 0; i < XML_DEPTH_MAX + 1; i++)
		strcat(text, "<a>");
	CHECK_INT(parse(text, ""), -EMSGSIZE);
	strcpy(text, "<ListBucketResult><Contents><Key>");
	memset(text + strlen(text), 'k', XML_TEXT_MAX + 1);
	CHECK_INT(parse(text, ""), -EMSGSIZE);
	snprintf(text, 100000, LIST(WHOLE OBJECT("%01025d", "1")), 0);
	CHECK_INT(parse(text, ""), -EBADMSG);
	snprintf(text, 100000, LIST(WHOLE OBJECT("%01024d", "1")), 0);
	CHECK_INT(parse(text, ""), 0);
	free(text);
}

TEST(what_the_receiver_says_ends_the_list)
{
	int stop = -EPERM;

	CHECK_INT(s3xml_page(LIST(WHOLE OBJECT("a", "1")), strlen(LIST(WHOLE OBJECT("a", "1"))), "", each, &stop, &page,
				reason), -EPERM);
}

/* --- pages */

static struct {
	const char *const *pages;
	unsigned asked;
	char tokens[8][64];
} store;

static int fetch(void *context, const char *token, char **ret, size_t *ret_size)
{
	(void)context;
	if (store.asked < 8)
		snprintf(store.tokens[store.asked], 64, "%s", token ? token : "(none)");
	*ret = strdup(store.pages[store.asked++]);
	*ret_size = strlen(*ret);
	return 0;
}

static int list(const char *const *pages)
{
	count = 0;
	store.pages = pages;
	store.asked = 0;
	return s3xml_pages(fetch, NULL, "", each, NULL, reason);
}

#define MORE(token) "<IsTruncated>true</IsTruncated><NextContinuationToken>" token "</NextContinuationToken>"

TEST(pages_are_followed_by_their_tokens)
{
	const char *const pages[] = { LIST(MORE("a+/=") OBJECT("1", "1")), LIST(OBJECT("2", "1") MORE("b")),
				      LIST(WHOLE OBJECT("3", "1")) };

	CHECK_INT(list(pages), 0);
	CHECK_INT(count, 3);
	CHECK_STR(store.tokens[0], "(none)");
	CHECK_STR(store.tokens[1], "a+/=");
	CHECK_STR(store.tokens[2], "b");
}

TEST(a_list_that_never_ends_is_refused)
{
	const char *const same[] = { LIST(MORE("a") OBJECT("1", "1")), LIST(MORE("a") OBJECT("2", "1")) };
	const char *const empty[] = { LIST(MORE("a") OBJECT("1", "1")), LIST(MORE("b")) };

	CHECK_INT(list(same), -EBADMSG);
	CHECK_INT(store.asked, 2);
	CHECK_INT(list(empty), -EBADMSG);
	CHECK(strstr(reason, "the same token again"));
}

/* --- errors, encoding, signature */

TEST(an_error_document_gives_code_and_message)
{
	static const char text[] = "<?xml version='1.0'?><Error><Code>NoSuchKey</Code><Message>gone\n\x7f</Message></Error>";
	char code[64], message[160];

	CHECK(s3xml_error(text, strlen(text), code, message));
	CHECK_STR(code, "NoSuchKey");
	CHECK_STR(message, "gone??");
	CHECK(!s3xml_error("<html/>", 7, code, message));
	CHECK(!s3xml_error("", 0, code, message));
}

TEST(encoding_keeps_only_unreserved_characters)
{
	char out[64];

	CHECK_INT(percent_encode("a/b c+d~\xc3\xa9%", true, out, sizeof(out)), 0);
	CHECK_STR(out, "a/b%20c%2Bd~%C3%A9%25");
	CHECK_INT(percent_encode("a/b", false, out, sizeof(out)), 0);
	CHECK_STR(out, "a%2Fb");
	CHECK_INT(percent_encode("abcd", false, out, 4), -ENOSPC);
	CHECK_INT(percent_encode("abc", false, out, 4), 0);
	CHECK_INT(percent_encode("  ", false, out, 6), -ENOSPC);
}

/* The examples of AWS' "Signature Calculations for the Authorization Header". */
static struct sigv4_request example = {
	.method = "GET", .payload_sha256 = SIGV4_EMPTY_SHA256, .timestamp = "20130524T000000Z", .region = "us-east-1",
	.service = "s3", .access_key = "AKIAIOSFODNN7EXAMPLE", .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
};

TEST(signatures_are_those_of_the_published_examples)
{
	const char *const get[] = { "host: examplebucket.s3.amazonaws.com", "range: bytes=0-9",
				    "x-amz-content-sha256: " SIGV4_EMPTY_SHA256, "x-amz-date: 20130524T000000Z", NULL };
	const char *const list[] = { get[0], get[2], get[3], NULL };
	char out[1024];

	example.path = "/test.txt";
	example.query = "";
	example.headers = get;
	CHECK_INT(sigv4_authorization(&example, out, sizeof(out)), 0);
	CHECK_STR(out, "Authorization: AWS4-HMAC-SHA256 "
		  "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
		  "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
		  "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
	example.path = "/";
	example.query = "max-keys=2&prefix=J";
	example.headers = list;
	CHECK_INT(sigv4_authorization(&example, out, sizeof(out)), 0);
	CHECK_STR(strstr(out, "Signature="),
		  "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
	CHECK_INT(sigv4_authorization(&example, out, 100), -ENOSPC);
}

TEST(a_timestamp_is_utc)
{
	char out[SIGV4_TIMESTAMP_SIZE];

	sigv4_timestamp(1369353600, out);
	CHECK_STR(out, "20130524T000000Z");
}

TEST(a_store_with_a_wrong_setting_is_refused)
{
	static const struct {
		const char *endpoint, *bucket, *region, *key, *word;
	} cases[] = {
		{ "ftp://x", "abc", "auto", "k", "endpoint" },
		{ "http://", "abc", "auto", "k", "endpoint" },
		{ "http://h/path", "abc", "auto", "k", "endpoint" },
		{ "http://user@h", "abc", "auto", "k", "host" },
		{ "http://h?x", "abc", "auto", "k", "host" },
		{ "http://h\r\nX: y", "abc", "auto", "k", "host" },
		{ "http://h", "a/b", "auto", "k", "bucket" },
		{ "http://h", "..", "auto", "k", "bucket" },
		{ "http://h", "abc", "a/b", "k", "region" },
		{ "http://h", "abc", "auto", "", "empty" },
		{ "http://h", "abc", "auto", "k\n", "access key" },
	};
	struct s3_client *client = NULL;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct s3_store s = { .endpoint = cases[i].endpoint, .bucket = cases[i].bucket, .region = cases[i].region,
				      .access_key = cases[i].key, .secret_key = "s" };

		CHECK_INT(s3_client_new(&s, &client, reason), -EINVAL);
		CHECK(strstr(reason, cases[i].word));
	}
	CHECK_INT(s3_client_new(&(struct s3_store){ .endpoint = "http://[::1]:9000/", .bucket = "a-b.c", .region = "auto",
						    .access_key = "k", .secret_key = "s" }, &client, reason), 0);
	s3_client_free(client);
}

