-- Sends each MR series to mrclip once Orthanc considers it stable.
--
-- In Orthanc's configuration:  "LuaScripts": ["/etc/orthanc/autorouting.lua"]
-- and the node as a modality:  "DicomModalities": {"mrclip": ["MRCLIP", "127.0.0.1", 11112]}
--
-- There is no loop: mrclip answers with reports, whose Modality (0008,0060) is SR. A late image makes the series
-- stable again; it is then sent again, and mrclip keeps what it has and revises its report.

local NODE = 'mrclip'

function OnStableSeries(seriesId, tags, metadata)
   if tags['Modality'] ~= 'MR' then
      return
   end
   -- A job of Orthanc's: this callback returns at once, and the job can be seen and resubmitted.
   local job = { Resources = { seriesId }, Synchronous = false }
   RestApiPost('/modalities/' .. NODE .. '/store', DumpJson(job, true))
end
