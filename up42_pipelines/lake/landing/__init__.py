"""Landing one delivered item: fetched, verified, unpacked, converted, judged, published, and committed last."""
