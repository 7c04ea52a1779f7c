/** A certificate that nobody vouches for and that ran out long ago: a pinned door may well show such a one. */
export const doorCertificate = `-----BEGIN CERTIFICATE-----
MIIBITCByAIBATAKBggqhkjOPQQDAjAdMRswGQYDVQQDDBJsYXRjaGtleS10ZXN0
LWRvb3IwHhcNMjAwMTAxMDAwMDAwWhcNMjEwMTAxMDAwMDAwWjAdMRswGQYDVQQD
DBJsYXRjaGtleS10ZXN0LWRvb3IwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARo
xLqBS5T41JJIiXyMZ2zaYpFBTaZzFMgPW5d5YVNmN8ire3rie/juhQx3GHrJLR9c
wi9fJvaGBJrno2wJpwxYMAoGCCqGSM49BAMCA0gAMEUCIElFdbMLNezKGs4fX8LU
U2COSAhzU3jSYNywoSIL30U5AiEAuKlbI7YwoJNKU79ce6jFSW+z+y4uTSjQ3F43
BVxhMyE=
-----END CERTIFICATE-----
`;

/** Its key, which guards nothing. */
export const doorCertificateKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgVxu2xt1RO9xskxDL
cf9WdLXnGl1mpq7TvXxv/3PZ5PuhRANCAARoxLqBS5T41JJIiXyMZ2zaYpFBTaZz
FMgPW5d5YVNmN8ire3rie/juhQx3GHrJLR9cwi9fJvaGBJrno2wJpwxY
-----END PRIVATE KEY-----
`;
