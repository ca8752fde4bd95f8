FROM python:3.11-slim

RUN useradd --create-home --uid 1000 lathe
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir --requirement requirements.txt
COPY --chown=lathe . .

# Results and uploads live here; mount a volume to keep them.
ENV LATHE_HOME=/data
RUN mkdir /data && chown lathe /data
VOLUME /data
USER lathe

EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["python", "app.py", "--server.address=0.0.0.0", "--server.port=8501", "--server.headless=true"]
