"""What waits under asyncio and under trio."""
